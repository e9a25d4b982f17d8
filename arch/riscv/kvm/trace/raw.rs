// SPDX-License-Identifier: GPL-2.0

//! The trace points that this kernel has.

#![allow(unsafe_code)]

use kernel::{
    bindings,
    prelude::*, //
};

kernel::declare_trace! {
    pub(super) unsafe fn kvm_entry(vcpu: *mut bindings::kvm_vcpu);
    pub(super) unsafe fn kvm_exit(trap: *mut bindings::kvm_cpu_trap);
    pub(super) unsafe fn kvm_vcpu_exit(
        vcpu_id: c_ulong,
        sepc: c_ulong,
        scause: c_ulong,
        stval: c_ulong,
        htval: c_ulong,
        htinst: c_ulong
    );
    pub(super) unsafe fn kvm_mmio_emulate(
        vcpu_id: c_ulong,
        sepc: c_ulong,
        insn: c_ulong,
        fault_addr: c_ulong,
        write: bool,
        len: c_int
    );
    pub(super) unsafe fn kvm_vcpu_irq(vcpu_id: c_ulong, irq: c_uint, level: c_int);
}

/// Returns whether a trace event of exits is enabled. Then no exit is handled early.
#[inline(always)]
pub(crate) fn is_on() -> bool {
    any_is_on!(
        __tracepoint_kvm_entry,
        __tracepoint_kvm_exit,
        __tracepoint_kvm_vcpu_exit,
        __tracepoint_kvm_vcpu_irq
    )
}
