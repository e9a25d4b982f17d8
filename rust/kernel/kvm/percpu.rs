// SPDX-License-Identifier: GPL-2.0

//! Variables of which each CPU has its own.

use super::{
    context::PreemptOff,
    hot, //
};
use crate::{
    bindings,
    cpu::CpuId,
    interrupt::LocalInterruptDisabled, //
};
use core::cell::UnsafeCell;

/// A static variable of which each CPU has its own instance.
///
/// Must be declared with [`percpu_static!`](crate::percpu_static), which puts it where the linker and
/// the module loader make the copies.
#[repr(transparent)]
pub struct PerCpu<T>(UnsafeCell<T>);

// SAFETY: An instance is reached by its own CPU alone, or by whoever `get_on()` trusts.
unsafe impl<T: Send> Sync for PerCpu<T> {}

impl<T> PerCpu<T> {
    /// Returns the template of the variable.
    ///
    /// # Safety
    ///
    /// Must initialize a static in the section `.data..percpu`.
    #[doc(hidden)]
    pub const unsafe fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// Returns a pointer to the instance of the CPU with number `cpu`.
    #[inline(always)]
    fn instance(&'static self, cpu: usize) -> *mut T {
        let offsets = &raw const bindings::__per_cpu_offset;
        // SAFETY: `cpu` is the number of a possible CPU, and the array has one entry for each.
        let offset = unsafe { *offsets.cast::<usize>().add(cpu) };
        self.0.get().wrapping_byte_add(offset)
    }

    /// Returns the instance of this CPU, while interrupts are disabled.
    ///
    /// The instance is shared with all code of this CPU, so `T` wants interior mutability.
    #[inline(always)]
    pub fn get<'a>(&'static self, _: &'a LocalInterruptDisabled) -> &'a T {
        // SAFETY: The CPU cannot change while the token lives, and `this_cpu()` is its number.
        // Only shared references to the instance are ever made.
        unsafe { &*self.instance(this_cpu()) }
    }

    /// Returns the instance of this CPU, while preemption is disabled.
    #[inline(always)]
    pub fn get_preempt<'a>(&'static self, _: &'a PreemptOff) -> &'a T {
        // SAFETY: As in `get()`.
        unsafe { &*self.instance(this_cpu()) }
    }

    /// Returns a pointer to the instance of `cpu`.
    ///
    /// To use it is up to the caller's synchronization with that CPU.
    #[inline]
    pub fn get_on(&'static self, cpu: CpuId) -> *mut T {
        self.instance(cpu.as_u32() as usize)
    }
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
        $vis static $name: $crate::kvm::percpu::PerCpu<$ty> =
            // SAFETY: This is a static in `.data..percpu`.
            unsafe { $crate::kvm::percpu::PerCpu::new($value) };
    };
}
pub use percpu_static;
