// SPDX-License-Identifier: GPL-2.0

//! Accesses to atomics that are one instruction.
//!
//! Those of [`Atomic`] are calls of helpers in C, which the hottest paths cannot afford, and which
//! must not be made where nothing may be instrumented.

use crate::sync::atomic::{
    Atomic,
    AtomicType, //
};

/// `READ_ONCE()` and `WRITE_ONCE()` of an atomic of the size of a register.
pub trait Once<T> {
    /// Loads the value; as [`Atomic::load`] with [`Relaxed`](crate::sync::atomic::Relaxed).
    fn read_once(&self) -> T;

    /// Stores a value; as [`Atomic::store`] with [`Relaxed`](crate::sync::atomic::Relaxed).
    fn write_once(&self, value: T);
}

impl<T: AtomicType> Once<T> for Atomic<T> {
    #[inline(always)]
    fn read_once(&self) -> T {
        // SAFETY: The pointer is valid. A volatile load of a machine word is a relaxed atomic one
        // for the kernel's memory model, which is what other threads access the value by.
        unsafe { self.as_ptr().read_volatile() }
    }

    #[inline(always)]
    fn write_once(&self, value: T) {
        // SAFETY: As in `read_once()`.
        unsafe { self.as_ptr().write_volatile(value) }
    }
}

/// `smp_mb()`.
#[inline(always)]
pub fn full_barrier() {
    core::sync::atomic::fence(core::sync::atomic::Ordering::SeqCst);
}
