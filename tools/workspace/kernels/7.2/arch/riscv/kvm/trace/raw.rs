// SPDX-License-Identifier: GPL-2.0

//! The trace points that this kernel has. Three more came with Linux 7.3.

#![allow(unsafe_code)]

use kernel::{
    bindings,
    prelude::*, //
};

kernel::declare_trace! {
    pub(super) unsafe fn kvm_entry(vcpu: *mut bindings::kvm_vcpu);
    pub(super) unsafe fn kvm_exit(trap: *mut bindings::kvm_cpu_trap);
}

pub(super) unsafe fn kvm_vcpu_exit(
    _: c_ulong,
    _: c_ulong,
    _: c_ulong,
    _: c_ulong,
    _: c_ulong,
    _: c_ulong,
) {
}

pub(super) unsafe fn kvm_mmio_emulate(
    _: c_ulong,
    _: c_ulong,
    _: c_ulong,
    _: c_ulong,
    _: bool,
    _: c_int,
) {
}

pub(super) unsafe fn kvm_vcpu_irq(_: c_ulong, _: c_uint, _: c_int) {}

/// Returns whether a trace event of exits is enabled. Then no exit is handled early.
#[inline(always)]
pub(crate) fn is_on() -> bool {
    any_is_on!(__tracepoint_kvm_entry, __tracepoint_kvm_exit)
}
