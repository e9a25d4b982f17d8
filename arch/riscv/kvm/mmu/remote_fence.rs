// SPDX-License-Identifier: GPL-2.0

//! Fences that other vCPUs have to execute.
//!
//! A vCPU executes what it was asked for before it enters the guest again, or reads its memory. So
//! it is enough to ask, and to see that it is not in the guest any more: whoever asks waits for
//! that, or, in the functions named `try_`, finds that there is nobody to wait for.

use crate::{
    abi::pte::Level,
    mmu::fence_queue::{
        Fence,
        Span, //
    },
    Riscv, //
};
use kernel::kvm::{
    GfnRange,
    Request,
    Vcpu,
    Vm, //
};

/// Execute the fences in the vCPU's queue.
pub(crate) const FENCES: Request = Request::arch(2).wait_no_wakeup();
/// Execute a FENCE.I.
pub(crate) const FENCE_I: Request = Request::arch(3).wait_no_wakeup();

/// Asks a vCPU for a fence, without interrupting it.
pub(crate) fn queue(vcpu: &Vcpu<Riscv>, fence: Fence) {
    vcpu.shared().fences.lock().push(fence);
    vcpu.request(FENCES);
}

/// Asks vCPUs for a fence, and waits until none of them is in the guest without having executed it.
pub(crate) fn fence<'a>(
    vm: &'a Vm<Riscv>,
    vcpus: impl Iterator<Item = &'a Vcpu<Riscv>> + Clone,
    fence: Fence,
) {
    for vcpu in vcpus.clone() {
        vcpu.shared().fences.lock().push(fence);
    }
    vm.request_some(FENCES, vcpus);
}

/// Asks all vCPUs of a VM for a fence, and waits as [`fence`] does.
pub(crate) fn fence_all(vm: &Vm<Riscv>, wanted: Fence) {
    fence(vm, vm.vcpus(), wanted);
}

/// Makes all vCPUs fence frames, and waits as [`fence`] does. No leaf that maps them, or has mapped
/// them since the last such fence, is of a level below `level`.
pub(crate) fn fence_gfns(vm: &Vm<Riscv>, gfns: GfnRange, level: Level) {
    let (start, end) = (gfns.start.gpa().0, gfns.end.gpa().0);
    let span = Span::of_leaves(start, end.saturating_sub(start), level.order());
    fence_all(vm, Fence::Gpa(span));
}

/// Asks vCPUs for a FENCE.I, and waits until none of them is in the guest without having executed
/// it.
pub(crate) fn fence_i<'a>(vm: &'a Vm<Riscv>, vcpus: impl Iterator<Item = &'a Vcpu<Riscv>> + Clone) {
    vm.request_some(FENCE_I, vcpus);
}

/// Asks vCPUs for a fence unless one of them is in the guest.
///
/// Returns `false`, having done nothing, if one is; `false` after making the requests if one
/// entered meanwhile; `true` if the fence is as good as executed.
pub(crate) fn try_fence<'a>(
    vcpus: impl Iterator<Item = &'a Vcpu<Riscv>> + Clone,
    fence: Fence,
) -> bool {
    try_each(vcpus, |vcpu| queue(vcpu, fence))
}

/// Does the same as [`try_fence`] for a FENCE.I.
pub(crate) fn try_fence_i<'a>(vcpus: impl Iterator<Item = &'a Vcpu<Riscv>> + Clone) -> bool {
    try_each(vcpus, |vcpu| vcpu.request(FENCE_I))
}

fn try_each<'a>(
    vcpus: impl Iterator<Item = &'a Vcpu<Riscv>> + Clone,
    request: impl Fn(&Vcpu<Riscv>),
) -> bool {
    if vcpus.clone().any(Vcpu::is_in_guest_mode) {
        return false;
    }
    vcpus.clone().for_each(request);
    Vm::have_left_guest(vcpus)
}
