// SPDX-License-Identifier: GPL-2.0

//! Trace events. They are those of the C backend, with the same names and fields.

#![allow(unsafe_code)]

use crate::{
    hart::trap::Trap,
    Riscv, //
};
use kernel::{
    kvm::{
        backend::VcpuOps,
        Gpa,
        Vcpu,
        VcpuId, //
    },
    prelude::*,
};

/// Whether one of some trace points is enabled.
macro_rules! any_is_on {
    ($($key:ident),*) => {{
        #[cfg(CONFIG_TRACEPOINTS)]
        {
            use kernel::{
                bindings,
                jump_label::static_branch_unlikely, //
            };
            // SAFETY: The key of a trace point may always be looked at.
            unsafe { $(static_branch_unlikely!(bindings::$key, bindings::tracepoint, key))||* }
        }
        #[cfg(not(CONFIG_TRACEPOINTS))]
        false
    }};
}

mod raw;

pub(crate) use raw::is_on;

/// Traces that the guest is about to run.
#[inline(always)]
pub(crate) fn entry(vcpu: &Vcpu<Riscv>) {
    // SAFETY: The vCPU is valid.
    unsafe { raw::kvm_entry(vcpu.as_raw()) };
}

/// Traces a trap out of the guest.
#[inline(always)]
pub(crate) fn exit(trap: &Trap) {
    // SAFETY: The pointer is to a local variable; the callee reads it.
    unsafe { raw::kvm_exit(&mut trap.into_raw()) };
}

/// Traces an exception of the guest.
#[inline(always)]
pub(crate) fn vcpu_exit(id: VcpuId, trap: &Trap) {
    // SAFETY: All arguments are values.
    unsafe {
        raw::kvm_vcpu_exit(
            id.0 as usize,
            trap.sepc as usize,
            trap.scause as usize,
            trap.stval as usize,
            trap.htval as usize,
            trap.htinst as usize,
        )
    };
}

/// Traces an access of the guest to a device.
#[inline(always)]
pub(crate) fn mmio_emulate(id: VcpuId, pc: u64, insn: u32, addr: Gpa, write: bool, len: usize) {
    // SAFETY: All arguments are values.
    unsafe {
        raw::kvm_mmio_emulate(
            id.0 as usize,
            pc as usize,
            insn as usize,
            addr.0 as usize,
            write,
            len as c_int,
        )
    };
}

/// Traces a change of the level of an interrupt.
#[inline(always)]
pub(crate) fn vcpu_irq<B: VcpuOps>(vcpu: &Vcpu<B>, irq: u32, level: bool) {
    // SAFETY: All arguments are values.
    unsafe { raw::kvm_vcpu_irq(vcpu.id().0 as usize, irq, c_int::from(level)) };
}
