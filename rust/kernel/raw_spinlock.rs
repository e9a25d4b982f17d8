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
    interrupt::{
        local_interrupt_disable,
        LocalInterruptDisabled, //
    },
    prelude::*,
    sync::lock::{
        Backend,
        Guard,
        Lock, //
    },
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

/// A `raw_spinlock_t`, held with interrupts disabled only, and taken in any context.
pub type RawSpinLock<T> = Lock<T, RawSpinLockBackend>;

/// What [`RawSpinLock::lock_irqsave`] returns.
///
/// Interrupts are disabled as long as this exists, in whatever order guards are dropped.
pub type RawSpinLockGuard<'a, T> = Guard<'a, T, RawSpinLockBackend>;

/// A raw spinlock that disables interrupts when it is taken.
pub struct RawSpinLockBackend;

// SAFETY: The C type ensures mutual exclusion. `relock` is the default, which calls `lock`.
unsafe impl Backend for RawSpinLockBackend {
    type State = bindings::raw_spinlock_t;
    // `Guard` drops this after the call of `unlock`.
    type GuardState = LocalInterruptDisabled;

    #[inline]
    unsafe fn init(ptr: *mut Self::State, name: *const c_char, key: *mut bindings::lock_class_key) {
        // SAFETY: By the requirements, `ptr` is valid for writes, `name` and `key` for ever.
        unsafe { bindings::raw_spin_lock_init(ptr, name, key) }
    }

    #[inline]
    unsafe fn lock(ptr: *mut Self::State) -> LocalInterruptDisabled {
        let irq = local_interrupt_disable();
        // SAFETY: By the requirement, the lock has been initialized.
        unsafe { bindings::raw_spin_lock(ptr) };
        irq
    }

    #[inline]
    unsafe fn try_lock(ptr: *mut Self::State) -> Option<LocalInterruptDisabled> {
        let irq = local_interrupt_disable();
        // SAFETY: By the requirement, the lock has been initialized.
        let locked = unsafe { bindings::raw_spin_trylock(ptr) } != 0;
        locked.then_some(irq)
    }

    #[inline]
    unsafe fn unlock(ptr: *mut Self::State, _: &LocalInterruptDisabled) {
        // SAFETY: By the requirement, the caller holds the lock.
        unsafe { bindings::raw_spin_unlock(ptr) }
    }

    #[inline]
    unsafe fn assert_is_held(ptr: *mut Self::State) {
        // SAFETY: By the requirement, the lock has been initialized.
        unsafe { assert_is_held(ptr) }
    }
}

/// Asks lockdep whether the lock is held. Without lockdep, not even a call.
///
/// # Safety
///
/// `ptr` must point to a lock that has been initialized.
#[inline(always)]
unsafe fn assert_is_held(ptr: *mut bindings::raw_spinlock_t) {
    if cfg!(CONFIG_LOCKDEP) {
        // SAFETY: By the requirement.
        unsafe { bindings::raw_spin_assert_is_held(ptr) }
    }
}

impl<T: ?Sized> Lock<T, RawSpinLockBackend> {
    /// Disables interrupts and takes the lock. [`lock`](Self::lock) does the same.
    #[inline]
    pub fn lock_irqsave(&self) -> RawSpinLockGuard<'_, T> {
        self.lock()
    }
}

impl<T: ?Sized + Unpin> Guard<'_, T, RawSpinLockBackend> {
    /// Returns the data, and the token for interrupts, which are disabled as long as the lock is
    /// held.
    ///
    /// It borrows the guard mutably because a shared reference may be used by another thread, whose
    /// interrupts are its own.
    #[inline]
    pub fn split(&mut self) -> (&mut T, &LocalInterruptDisabled) {
        // SAFETY: The lock is held, and this is the only reference to what it protects.
        (unsafe { &mut *self.lock.data.get() }, &self.state)
    }
}
