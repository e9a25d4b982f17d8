// SPDX-License-Identifier: GPL-2.0

//! Accesses to atomics, and barriers, that are one instruction.
//!
//! Those of [`Atomic`] and [`barrier`](crate::sync::barrier) call helpers in C. The hottest paths
//! cannot afford a call, and code that must not be instrumented must not make one.

use crate::sync::atomic::{
    Atomic,
    AtomicType, //
};

/// `READ_ONCE()` and `WRITE_ONCE()` of an atomic.
pub trait AccessOnce<T> {
    /// Loads the value, as [`Atomic::load`] does with [`Relaxed`](crate::sync::atomic::Relaxed).
    fn read_once(&self) -> T;

    /// Stores a value, as [`Atomic::store`] does with [`Relaxed`](crate::sync::atomic::Relaxed).
    fn write_once(&self, value: T);
}

impl<T: AtomicType> AccessOnce<T> for Atomic<T> {
    #[inline(always)]
    fn read_once(&self) -> T {
        // SAFETY: The pointer is valid. A volatile load of a machine word is a relaxed atomic load
        // in the kernel's memory model, by which other threads access the value.
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
pub fn smp_mb() {
    #[cfg(target_arch = "riscv64")]
    // SAFETY: A barrier.
    unsafe {
        core::arch::asm!("fence rw, rw", options(nostack, preserves_flags))
    };
    #[cfg(not(target_arch = "riscv64"))]
    crate::sync::barrier::smp_mb(crate::sync::barrier::Full);
}

/// The barrier of `smp_load_acquire()`: all accesses that follow come after the loads before.
#[inline(always)]
pub fn acquire_barrier() {
    #[cfg(target_arch = "riscv64")]
    // SAFETY: A barrier.
    unsafe {
        core::arch::asm!("fence r, rw", options(nostack, preserves_flags))
    };
    #[cfg(not(target_arch = "riscv64"))]
    crate::sync::barrier::smp_mb(crate::sync::barrier::Full);
}

/// The barrier of `smp_store_release()`: a store that follows becomes visible after all accesses
/// before.
#[inline(always)]
pub fn release_barrier() {
    #[cfg(target_arch = "riscv64")]
    // SAFETY: A barrier.
    unsafe {
        core::arch::asm!("fence rw, w", options(nostack, preserves_flags))
    };
    #[cfg(not(target_arch = "riscv64"))]
    crate::sync::barrier::smp_mb(crate::sync::barrier::Full);
}
