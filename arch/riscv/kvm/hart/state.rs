// SPDX-License-Identifier: GPL-2.0

//! The state of each hart: whether virtualization is on, and which vCPU owns the guest CSRs.

use core::ptr;
use kernel::{
    access_once::AccessOnce,
    bindings,
    kvm::{
        backend::Backend,
        PreemptOff,
        Vcpu, //
    },
    percpu::percpu_static,
    sync::atomic::Atomic, //
};

percpu_static! {
    /// The vCPU whose CSRs the hart has. The pointer is compared and never followed.
    static CSR_OWNER: Atomic<*const bindings::kvm_vcpu> = Atomic::new(ptr::null());
}

percpu_static! {
    static ENABLED: Atomic<bool> = Atomic::new(false);
}

/// Returns whether virtualization is on for this hart.
pub(crate) fn enabled(preempt: &PreemptOff) -> bool {
    ENABLED.get_preempt(preempt).read_once()
}

/// Records whether virtualization is on for this hart.
pub(crate) fn set_enabled(preempt: &PreemptOff, enabled: bool) {
    ENABLED.get_preempt(preempt).write_once(enabled);
}

/// Returns whether this hart still has the CSRs of `vcpu`, as `vcpu` left them when it was put.
#[inline]
pub(crate) fn owns_csrs<B: Backend>(preempt: &PreemptOff, vcpu: &Vcpu<B>) -> bool {
    ptr::eq(CSR_OWNER.get_preempt(preempt).read_once(), vcpu.as_raw())
}

/// Makes `vcpu` the owner of this hart's guest CSRs.
#[inline]
pub(crate) fn set_csr_owner<B: Backend>(preempt: &PreemptOff, vcpu: &Vcpu<B>) {
    CSR_OWNER.get_preempt(preempt).write_once(vcpu.as_raw());
}

/// Records that this hart has the CSRs of no vCPU.
#[inline]
pub(crate) fn clear_csr_owner(preempt: &PreemptOff) {
    CSR_OWNER.get_preempt(preempt).write_once(ptr::null());
}
