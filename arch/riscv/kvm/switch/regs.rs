// SPDX-License-Identifier: GPL-2.0

//! The guest's registers in memory: those that the world switch moves.
//!
//! They are part of `struct kvm_vcpu_arch`, where the assembly finds them. The hooks for load and
//! put, and interrupts, may run on top of code that uses them, so every access is one volatile
//! access.

use crate::{
    abi::insn::{
        Gpr,
        InsnLen, //
    },
    hart::csr::{
        Hstatus,
        Sstatus, //
    },
    Riscv, //
};
use core::marker::PhantomData;
use kernel::{
    bindings,
    kvm::{
        backend::VcpuOps,
        Gva,
        LockedVcpu,
        RunningVcpu,
        Vcpu, //
    },
};

/// A view of the guest's registers, for the holder of the vCPU's mutex.
#[derive(Clone, Copy)]
pub(crate) struct Regs<'a> {
    arch: *mut bindings::kvm_vcpu_arch,
    _vcpu: PhantomData<&'a LockedVcpu<'a, Riscv>>,
}

impl<'a> Regs<'a> {
    /// Returns the registers of `vcpu`.
    #[inline(always)]
    pub(crate) fn of(vcpu: &'a LockedVcpu<'_, Riscv>) -> Self {
        Self {
            arch: vcpu.arch(),
            _vcpu: PhantomData,
        }
    }

    /// Returns the registers of `vcpu`, for an interrupt on top of its thread.
    #[inline(always)]
    pub(super) fn of_running(vcpu: &'a RunningVcpu<'_, Riscv>) -> Self {
        Self {
            arch: vcpu.arch(),
            _vcpu: PhantomData,
        }
    }

    #[inline(always)]
    pub(crate) fn arch(self) -> *mut bindings::kvm_vcpu_arch {
        self.arch
    }

    #[inline(always)]
    pub(super) fn guest(self) -> *mut bindings::kvm_cpu_context {
        // SAFETY: The vCPU is valid for `'a`.
        unsafe { &raw mut (*self.arch).guest_context }
    }

    #[inline(always)]
    pub(super) fn host(self) -> *mut bindings::kvm_cpu_context {
        // SAFETY: The vCPU is valid for `'a`.
        unsafe { &raw mut (*self.arch).host_context }
    }

    /// Returns the value of a general-purpose register.
    #[inline(always)]
    pub(crate) fn gpr(self, gpr: Gpr) -> u64 {
        self.x(gpr.index())
    }

    /// Returns the value of `x<n>`, `n` below 32.
    #[inline(always)]
    pub(crate) fn x(self, n: usize) -> u64 {
        // SAFETY: The context begins with `x0` to `x31`, and `x0` is never written.
        unsafe { self.guest().cast::<u64>().add(n & 31).read_volatile() }
    }

    /// Sets a general-purpose register. `x0` stays zero.
    #[inline(always)]
    pub(crate) fn set_gpr(self, gpr: Gpr, value: u64) {
        if !gpr.is_zero() {
            // SAFETY: The context begins with `x0` to `x31`.
            unsafe {
                self.guest()
                    .cast::<u64>()
                    .add(gpr.index())
                    .write_volatile(value)
            };
        }
    }

    /// Returns the guest's program counter.
    #[inline(always)]
    pub(crate) fn sepc(self) -> u64 {
        // SAFETY: The context is valid.
        unsafe { (&raw const (*self.guest()).sepc).read_volatile() as u64 }
    }

    /// Sets the guest's program counter.
    #[inline(always)]
    pub(crate) fn set_sepc(self, sepc: u64) {
        // SAFETY: The context is valid.
        unsafe { (&raw mut (*self.guest()).sepc).write_volatile(sepc as usize) };
    }

    /// Steps over an instruction.
    #[inline(always)]
    pub(crate) fn skip(self, len: InsnLen) {
        self.set_sepc(self.sepc().wrapping_add(len.bytes()));
    }

    /// Returns the HS-level `sstatus` that the guest runs under.
    #[inline(always)]
    pub(crate) fn sstatus(self) -> Sstatus {
        // SAFETY: The context is valid.
        Sstatus::from_raw(unsafe { (&raw const (*self.guest()).sstatus).read_volatile() } as u64)
    }

    /// Sets the HS-level `sstatus` that the guest runs under.
    #[inline(always)]
    pub(crate) fn set_sstatus(self, sstatus: Sstatus) {
        // SAFETY: The context is valid.
        unsafe { (&raw mut (*self.guest()).sstatus).write_volatile(sstatus.into_raw() as usize) };
    }

    /// Returns the `hstatus` that the guest runs under.
    #[inline(always)]
    pub(crate) fn hstatus(self) -> Hstatus {
        // SAFETY: The context is valid.
        Hstatus::from_raw(unsafe { (&raw const (*self.guest()).hstatus).read_volatile() } as u64)
    }

    /// Sets the `hstatus` that the guest runs under.
    #[inline(always)]
    pub(crate) fn set_hstatus(self, hstatus: Hstatus) {
        // SAFETY: The context is valid.
        unsafe { (&raw mut (*self.guest()).hstatus).write_volatile(hstatus.into_raw() as usize) };
    }

    /// Sets all registers to zero.
    pub(crate) fn clear(self) {
        // SAFETY: The context is valid, and zeroes are valid values of all its fields.
        unsafe { core::ptr::write_bytes(self.guest(), 0, 1) };
    }
}

/// Where a guest is, as any thread may ask: it may run on meanwhile.
pub(crate) struct Hint {
    /// The guest's program counter.
    pub(crate) pc: Gva,
    /// The guest is in its kernel.
    pub(crate) in_kernel: bool,
}

impl Hint {
    /// Looks where `vcpu` was when it stopped last.
    pub(crate) fn of<B: VcpuOps>(vcpu: &Vcpu<B>) -> Self {
        // SAFETY: The vCPU is valid. The fields are read once each; the vCPU's thread may write
        // them at the same time, and then the answer is the old value or the new.
        let (sepc, sstatus) = unsafe {
            let guest = &raw const (*vcpu.as_raw()).arch.guest_context;
            (
                (&raw const (*guest).sepc).read_volatile(),
                (&raw const (*guest).sstatus).read_volatile(),
            )
        };
        Self {
            pc: Gva(sepc as u64),
            in_kernel: Sstatus::from_raw(sstatus as u64).spp().into_bool(),
        }
    }
}
