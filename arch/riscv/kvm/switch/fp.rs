// SPDX-License-Identifier: GPL-2.0

//! The guest's floating-point registers.

use crate::{
    hart::features,
    switch::regs::Regs, //
};
use kernel::{
    bindings,
    kvm::PreemptOff, //
};

/// The floating-point registers that a guest has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FpFormat {
    /// 32 bits each, the F extension.
    Single,
    /// 64 bits each, the D extension.
    Double,
}

impl Regs<'_> {
    /// Returns the bits of `f<n>` in double precision, `n` below 32.
    pub(crate) fn fp_d(self, n: usize) -> u64 {
        // SAFETY: The context is valid, and any bits are a value.
        unsafe { (&raw const (*self.guest()).fp.d.f[n & 31]).read_volatile() }
    }

    /// Sets the bits of `f<n>` in double precision, `n` below 32.
    pub(crate) fn set_fp_d(self, n: usize, value: u64) {
        // SAFETY: The context is valid.
        unsafe { (&raw mut (*self.guest()).fp.d.f[n & 31]).write_volatile(value) };
    }

    /// Returns the bits of `f<n>` in single precision, `n` below 32.
    pub(crate) fn fp_f(self, n: usize) -> u32 {
        // SAFETY: The context is valid, and any bits are a value.
        unsafe { (&raw const (*self.guest()).fp.f.f[n & 31]).read_volatile() }
    }

    /// Sets the bits of `f<n>` in single precision, `n` below 32.
    pub(crate) fn set_fp_f(self, n: usize, value: u32) {
        // SAFETY: The context is valid.
        unsafe { (&raw mut (*self.guest()).fp.f.f[n & 31]).write_volatile(value) };
    }

    /// Returns `fcsr`, which each of the two formats has a place for.
    pub(crate) fn fcsr(self, format: FpFormat) -> u32 {
        // SAFETY: The context is valid, and any bits are a value.
        unsafe { self.fcsr_ptr(format).read_volatile() }
    }

    /// Sets `fcsr`, which each of the two formats has a place for.
    pub(crate) fn set_fcsr(self, format: FpFormat, value: u32) {
        // SAFETY: The context is valid.
        unsafe { self.fcsr_ptr(format).write_volatile(value) };
    }

    fn fcsr_ptr(self, format: FpFormat) -> *mut u32 {
        // SAFETY: The context is valid.
        unsafe {
            match format {
                FpFormat::Double => &raw mut (*self.guest()).fp.d.fcsr,
                FpFormat::Single => &raw mut (*self.guest()).fp.f.fcsr,
            }
        }
    }

    /// Saves the host's floating-point registers, and loads the guest's. `guest` is [`None`] if the
    /// guest has none.
    pub(crate) fn load_fp(self, _: &PreemptOff, guest: Option<FpFormat>) {
        // SAFETY: The contexts are valid, and the hart has the registers.
        unsafe {
            if features::fpu_d() {
                bindings::__kvm_riscv_rust_fp_d_save(self.host());
            } else if features::fpu_f() {
                bindings::__kvm_riscv_rust_fp_f_save(self.host());
            }
            match guest {
                Some(FpFormat::Double) => bindings::__kvm_riscv_rust_fp_d_restore(self.guest()),
                Some(FpFormat::Single) => bindings::__kvm_riscv_rust_fp_f_restore(self.guest()),
                None => {}
            }
        }
    }

    /// Saves the guest's floating-point registers, and loads the host's. `dirty` is [`None`] if the
    /// guest has not written them.
    pub(crate) fn put_fp(self, _: &PreemptOff, dirty: Option<FpFormat>) {
        // SAFETY: As in `load_fp()`.
        unsafe {
            match dirty {
                Some(FpFormat::Double) => bindings::__kvm_riscv_rust_fp_d_save(self.guest()),
                Some(FpFormat::Single) => bindings::__kvm_riscv_rust_fp_f_save(self.guest()),
                None => {}
            }
            if features::fpu_d() {
                bindings::__kvm_riscv_rust_fp_d_restore(self.host());
            } else if features::fpu_f() {
                bindings::__kvm_riscv_rust_fp_f_restore(self.host());
            }
        }
    }
}
