// SPDX-License-Identifier: GPL-2.0

//! Variables of which each CPU has its own instance.

use crate::{
    bindings,
    cpu::CpuId,
    interrupt::LocalInterruptDisabled,
    kvm::{
        hot,
        PreemptOff, //
    },
};

/// A static variable of which each CPU has its own instance.
///
/// It must be declared with [`percpu_static!`](crate::percpu_static), which puts it where the
/// linker and the module loader make the copies.
///
/// An instance is shared by everything that runs on its CPU, interrupts included. So `T` is
/// [`Sync`]: a struct of atomics, for example. A [`Cell`](core::cell::Cell) would not do, because
/// an interrupt may come in the middle of an access to it.
#[repr(transparent)]
pub struct PerCpu<T: Sync>(T);

impl<T: Sync> PerCpu<T> {
    /// Returns the template of the variable.
    ///
    /// # Safety
    ///
    /// Must initialize a static in the section `.data..percpu`.
    #[doc(hidden)]
    pub const unsafe fn new(value: T) -> Self {
        Self(value)
    }

    /// Returns the instance of this CPU, while interrupts are disabled.
    #[inline(always)]
    pub fn get<'a>(&'static self, _: &'a LocalInterruptDisabled) -> &'a T {
        // SAFETY: This code runs on the CPU with that number.
        unsafe { self.instance(this_cpu()) }
    }

    /// Returns the instance of this CPU, while preemption is disabled.
    #[inline(always)]
    pub fn get_preempt<'a>(&'static self, _: &'a PreemptOff) -> &'a T {
        // SAFETY: As in `get()`.
        unsafe { self.instance(this_cpu()) }
    }

    /// Returns the instance of `cpu`, which may use it at the same time.
    #[inline]
    pub fn get_on(&'static self, cpu: CpuId) -> &'static T {
        // SAFETY: `cpu` is the number of a possible CPU.
        unsafe { self.instance(cpu.as_u32() as usize) }
    }

    /// # Safety
    ///
    /// `cpu` must be the number of a possible CPU.
    #[inline(always)]
    unsafe fn instance(&'static self, cpu: usize) -> &'static T {
        // SAFETY: By the requirement.
        let offset = unsafe { offset_of(cpu) };
        // SAFETY: By the requirement of `new()`, the variable is in the section of which each
        // possible CPU has a copy at this offset, for as long as the module is there. `T` is
        // `Sync`.
        unsafe { &*(&raw const self.0).wrapping_byte_add(offset) }
    }
}

/// `per_cpu_ptr()`: returns where `cpu` has its instance of a variable of C.
///
/// The result is valid if `ptr` is one to such a variable (`__percpu`).
#[inline]
pub fn instance_of_c<T>(ptr: *mut T, cpu: CpuId) -> *mut T {
    // SAFETY: `cpu` is the number of a possible CPU.
    ptr.wrapping_byte_add(unsafe { offset_of(cpu.as_u32() as usize) })
}

/// Returns how far the instances of a CPU are from what variables have for their address.
///
/// # Safety
///
/// `cpu` must be the number of a possible CPU.
#[inline(always)]
unsafe fn offset_of(cpu: usize) -> usize {
    let offsets = &raw const bindings::__per_cpu_offset;
    // SAFETY: The array has an entry for each possible CPU.
    unsafe { *offsets.cast::<usize>().add(cpu) }
}

/// Returns the number of the CPU that this code runs on.
///
/// Not a call, so that it may stand between `guest_state_enter()` and `guest_state_exit()`.
#[inline(always)]
fn this_cpu() -> usize {
    // SAFETY: `current` is valid. `thread_info.cpu` changes only by migration, which the callers
    // exclude.
    unsafe { (*hot::current()).thread_info.cpu as usize }
}

/// Declares a static variable of which each CPU has its own instance, a [`PerCpu`].
#[macro_export]
macro_rules! percpu_static {
    ($(#[$attr:meta])* $vis:vis static $name:ident: $ty:ty = $value:expr;) => {
        $(#[$attr])*
        #[link_section = ".data..percpu"]
        $vis static $name: $crate::percpu::PerCpu<$ty> =
            // SAFETY: This is a static in `.data..percpu`.
            unsafe { $crate::percpu::PerCpu::new($value) };
    };
}
pub use percpu_static;
