// SPDX-License-Identifier: GPL-2.0

//! The state of each hart: whether virtualization is on, and which vCPU owns the guest CSRs.

use core::{
    cell::Cell,
    ptr, //
};
use kernel::{
    bindings,
    kvm::{
        backend::Backend,
        percpu::percpu_static,
        PreemptOff,
        Vcpu, //
    },
};

/// The vCPU whose CSRs a hart has. The pointer is compared and never followed.
struct CsrOwner(Cell<*const bindings::kvm_vcpu>);

// SAFETY: The pointer is not followed.
unsafe impl Send for CsrOwner {}

percpu_static! {
    static CSR_OWNER: CsrOwner = CsrOwner(Cell::new(ptr::null()));
}

percpu_static! {
    static ENABLED: Cell<bool> = Cell::new(false);
}

/// Returns whether virtualization is on for this hart.
pub(crate) fn enabled(preempt: &PreemptOff) -> bool {
    ENABLED.get_preempt(preempt).get()
}

/// Records whether virtualization is on for this hart.
pub(crate) fn set_enabled(preempt: &PreemptOff, enabled: bool) {
    ENABLED.get_preempt(preempt).set(enabled);
}

/// Returns whether this hart still has the CSRs of `vcpu`, as `vcpu` left them when it was put.
#[inline]
pub(crate) fn owns_csrs<B: Backend>(preempt: &PreemptOff, vcpu: &Vcpu<B>) -> bool {
    ptr::eq(CSR_OWNER.get_preempt(preempt).0.get(), vcpu.as_raw())
}

/// Makes `vcpu` the owner of this hart's guest CSRs.
#[inline]
pub(crate) fn set_csr_owner<B: Backend>(preempt: &PreemptOff, vcpu: &Vcpu<B>) {
    CSR_OWNER.get_preempt(preempt).0.set(vcpu.as_raw());
}

/// Records that this hart has the CSRs of no vCPU.
#[inline]
pub(crate) fn clear_csr_owner(preempt: &PreemptOff) {
    CSR_OWNER.get_preempt(preempt).0.set(ptr::null());
}
