// SPDX-License-Identifier: GPL-2.0

//! Raw spinlocks that are taken with interrupts disabled.
//!
//! A [`SpinLockIrq`](crate::sync::SpinLockIrq) sleeps under `PREEMPT_RT`. These spin there, too, so
//! that an interrupt handler, a context switch and whoever holds another raw spinlock may take
//! them. What is done under one must be short, and must not allocate.
//!
//! C header: [`include/linux/spinlock.h`](srctree/include/linux/spinlock.h)

use crate::{
    bindings,
    interrupt::LocalInterruptDisabled,
    prelude::*,
    sync::LockClassKey,
    types::Opaque, //
};
use core::{
    cell::UnsafeCell,
    marker::PhantomPinned,
    pin::Pin, //
};

/// Creates an initializer of a [`RawSpinLock`] with a lock class of its own.
///
/// The name of the class is the one that is given, or the file and the line.
#[macro_export]
macro_rules! new_raw_spinlock {
    ($inner:expr $(, $name:literal)? $(,)?) => {
        $crate::raw_spinlock::RawSpinLock::new(
            $inner, $crate::optional_name!($($name)?), $crate::static_lock_class!())
    };
}
pub use new_raw_spinlock;

/// A `raw_spinlock_t` and what it protects, taken in any context.
#[pin_data]
pub struct RawSpinLock<T> {
    #[pin]
    lock: Opaque<bindings::raw_spinlock_t>,
    data: UnsafeCell<T>,
    // The lock is known to lockdep by its address.
    #[pin]
    _pin: PhantomPinned,
}

// SAFETY: It may be dropped by another thread than the one that has made it, if its data may be.
unsafe impl<T: Send> Send for RawSpinLock<T> {}

// SAFETY: The data are used by one thread at a time.
unsafe impl<T: Send> Sync for RawSpinLock<T> {}

impl<T> RawSpinLock<T> {
    /// Returns an initializer, which [`new_raw_spinlock!`](crate::new_raw_spinlock) calls.
    pub fn new(
        data: T,
        name: &'static CStr,
        key: Pin<&'static LockClassKey>,
    ) -> impl PinInit<Self> {
        pin_init!(Self {
            // SAFETY: The slot is valid for writes, the name and the key for ever.
            lock <- Opaque::ffi_init(|slot| unsafe {
                bindings::raw_spin_lock_init(slot, name.as_char_ptr(), key.as_ptr())
            }),
            data: UnsafeCell::new(data),
            _pin: PhantomPinned,
        })
    }

    /// Calls `f` with the lock held and interrupts disabled, and returns what `f` returns.
    ///
    /// There is no guard, because locks have to be released in the reverse order in which they
    /// were taken: each puts the state of interrupts back that it has found.
    #[inline]
    pub fn with<R>(&self, f: impl FnOnce(&mut T, &LocalInterruptDisabled) -> R) -> R {
        // SAFETY: The lock has been initialized.
        let flags = unsafe { bindings::_raw_spin_lock_irqsave(self.lock.get()) };
        // SAFETY: The lock is held, and interrupts are disabled, until `f` has returned.
        let result = unsafe {
            f(
                &mut *self.data.get(),
                LocalInterruptDisabled::assume_disabled(),
            )
        };
        // SAFETY: The lock was taken above, with these flags.
        unsafe { bindings::_raw_spin_unlock_irqrestore(self.lock.get(), flags) };
        result
    }
}
