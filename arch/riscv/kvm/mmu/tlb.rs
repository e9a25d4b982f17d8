// SPDX-License-Identifier: GPL-2.0

//! What harts have cached of guests' translations: fences on this hart, and requests for fences to
//! the vCPUs of a VM.

#![deny(unsafe_code)]

use crate::{
    abi::{
        nacl::{
            Hfence,
            PageRange, //
        },
        pte::PAGE_SHIFT,
        sbi::HartMask, //
    },
    hart::{
        fence,
        guest_csr,
        nacl,
        smp, //
    },
    mmu::{
        fence_queue::{
            Fence,
            FenceQueue,
            Queued,
            Span, //
        },
        vmid::{
            self,
            Vmid, //
        },
    },
    vcpu::Stale,
    vm,
    Riscv, //
};
use kernel::{
    cpu::CpuId,
    kvm::{
        LoadedVcpu,
        PreemptOff,
        Request,
        Vcpu,
        Vm, //
    },
};

/// Do the fences in the vCPU's queue.
pub(crate) const FENCES: Request = Request::arch(2).wait_no_wakeup();
/// Do a FENCE.I.
pub(crate) const FENCE_I: Request = Request::arch(3).wait_no_wakeup();

/// Forgets all G-stage translations of `vmid` on this hart.
pub(crate) fn fence_all_gpas(preempt: &PreemptOff, vmid: Vmid) {
    if !queue(preempt, || Some(Hfence::GvmaVmidAll(vmid.raw() as u16))) {
        fence::hfence_gvma_vmid(vmid.raw());
    }
}

/// Forgets all VS-stage translations of `vmid` on this hart, which has it in `hgatp`.
pub(crate) fn fence_all_gvas(preempt: &PreemptOff, vmid: Vmid) {
    if !queue(preempt, || Some(Hfence::VvmaAll(vmid.raw() as u16))) {
        guest_csr::commit_hgatp(preempt);
        fence::hfence_vvma_all();
    }
}

/// Hands a fence over to the SBI, if it takes fences. Returns whether it did.
#[inline]
fn queue(preempt: &PreemptOff, fence: impl FnOnce() -> Option<Hfence>) -> bool {
    nacl::sync_hfence()
        && fence().is_some_and(|fence| nacl::this_hart_preempt(preempt).queue_hfence(fence))
}

/// Does a fence on this hart, which has `vmid` in `hgatp`.
fn execute(preempt: &PreemptOff, vmid: Vmid, fence: Fence) {
    if queue(preempt, || to_nacl(vmid, fence)) {
        return;
    }
    if !matches!(fence, Fence::AllGpas | Fence::Gpa(_)) {
        guest_csr::commit_hgatp(preempt);
    }
    match fence {
        Fence::AllGpas => fence::hfence_gvma_vmid(vmid.raw()),
        Fence::AllGvas => fence::hfence_vvma_all(),
        Fence::Asid(asid) => fence::hfence_vvma_asid(asid),
        Fence::Gpa(span) => match span.pages() {
            Some(pages) => fence::hfence_gvma_vmid_gpas(vmid.raw(), pages),
            None => fence::hfence_gvma_vmid(vmid.raw()),
        },
        Fence::Gva(span) => match span.pages() {
            Some(pages) => fence::hfence_vvma_gvas(pages),
            None => fence::hfence_vvma_all(),
        },
        Fence::GvaOfAsid(span, asid) => match span.pages() {
            Some(pages) => fence::hfence_vvma_asid_gvas(asid, pages),
            None => fence::hfence_vvma_asid(asid),
        },
    }
}

/// Returns the entry of the queue in shared memory for a fence.
fn to_nacl(vmid: Vmid, fence: Fence) -> Option<Hfence> {
    let pages = |span: Span| PageRange::new(span.start(), span.size(), PAGE_SHIFT).ok();
    let vmid = vmid.raw() as u16;
    // How many pages there are is up to the guest, and takes the SBI's time.
    let is_worth_it = |span: Span| span.pages().is_some();
    Some(match fence {
        Fence::Gpa(span) if !is_worth_it(span) => Hfence::GvmaVmidAll(vmid),
        Fence::Gva(span) if !is_worth_it(span) => Hfence::VvmaAll(vmid),
        Fence::GvaOfAsid(span, asid) if !is_worth_it(span) => {
            Hfence::VvmaAsidAll(vmid, asid as u16)
        }
        Fence::AllGpas => Hfence::GvmaVmidAll(vmid),
        Fence::AllGvas => Hfence::VvmaAll(vmid),
        // An ASID has 16 bits at the most; the hart ignores the rest, and so must this.
        Fence::Asid(asid) => Hfence::VvmaAsidAll(vmid, asid as u16),
        Fence::Gpa(span) => Hfence::GvmaVmid(pages(span)?, vmid),
        Fence::Gva(span) => Hfence::Vvma(pages(span)?, vmid),
        Fence::GvaOfAsid(span, asid) => Hfence::VvmaAsid(pages(span)?, vmid, asid as u16),
    })
}

/// Makes this hart translate as the guest does, and forget what it must not use. Returns the VMID that
/// it does so by, which may be of an earlier generation.
///
/// Ahead of an entry, and of a read of the guest's memory: if the vCPU's thread was preempted since
/// the exit, then the translation of another VM is in place. The VM has had a VMID.
#[inline]
pub(crate) fn prepare_hart(vcpu: &LoadedVcpu<'_, Riscv>, preempt: &PreemptOff) -> Vmid {
    let vm = vcpu.vm().backend();
    let local = vcpu.local();
    let vmid = vm.vmid.last(preempt);
    if local.hgatp_vmid.get() != vmid {
        vm.gstage.load_hgatp(preempt, vmid);
        local.hgatp_vmid.set(vmid);
        // What was forgotten was of another VMID; or all VMs share the one.
        if local.fenced_vmid.replace(vmid) != vmid || !vmid::in_use() {
            local.stale.set(Stale::Everything);
        }
    }
    if local.stale.get() != Stale::Nothing {
        if local.stale.get() == Stale::Everything {
            fence_all_gpas(preempt, vmid);
            // The guest's own FENCE.I were those of another hart.
            fence::fence_i();
        }
        fence_all_gvas(preempt, vmid);
        let cpu = CpuId::current().as_u32();
        vm.note_running(cpu, vcpu.index());
        local.last_cpu.set(Some(cpu));
        local.stale.set(Stale::Nothing);
    }
    if vcpu.request_pending() {
        if vcpu.take_request(FENCE_I) {
            fence::fence_i();
        }
        // What the core asks for when pages of the guest's memory go.
        if vcpu.take_request(Request::TLB_FLUSH) {
            fence_all_gpas(preempt, vmid);
        }
    }
    vmid
}

/// Does the fences in the vCPU's queue.
pub(crate) fn work_off_fences(vcpu: &LoadedVcpu<'_, Riscv>) {
    if !vcpu.take_request(FENCES) {
        return;
    }
    // Others may queue as fast as this works off, so it does a queue's worth at a time.
    for _ in 0..FenceQueue::CAPACITY {
        let (queued, is_last) = {
            let mut fences = vcpu.shared().fences.lock();
            (fences.pop(), fences.is_empty())
        };
        let Some(queued) = queued else {
            return;
        };
        vcpu.vm().backend().vmid.ensure();
        // If the vCPU has come to another hart since, or to another VMID, this makes the hart forget
        // everything.
        let preempt = PreemptOff::new();
        let vmid = prepare_hart(vcpu, &preempt);
        match queued {
            Queued::Fence(fence) => execute(&preempt, vmid, fence),
            Queued::Everything => {
                fence_all_gpas(&preempt, vmid);
                fence_all_gvas(&preempt, vmid);
            }
        }
        if is_last {
            // What is queued from now on comes with a request of its own.
            return;
        }
    }
    vcpu.request(FENCES);
}

/// Returns whether the guest's translation must not be used before [`work_off_fences`] and
/// [`prepare_hart`].
pub(crate) fn must_fence_first(vcpu: &LoadedVcpu<'_, Riscv>) -> bool {
    vcpu.request_pending() && (vcpu.is_requested(FENCES) || vcpu.is_requested(Request::TLB_FLUSH))
}

/// Asks a vCPU for a fence, without interrupting it.
pub(crate) fn request_fence(vcpu: &Vcpu<Riscv>, fence: Fence) {
    vcpu.shared().fences.lock().push(fence);
    vcpu.request(FENCES);
}

/// Asks vCPUs for a fence, and waits until none of them is in the guest that has not done it.
pub(crate) fn request_fence_of(vm: &Vm<Riscv>, harts: HartMask, fence: Fence) {
    let vcpus = vm::harts(vm, harts);
    for vcpu in vcpus.clone() {
        vcpu.shared().fences.lock().push(fence);
    }
    vm.request_some(FENCES, vcpus);
}

/// Does the same as [`request_fence_of`] for the calling vCPU, whose hart is prepared, if no other of
/// them has to be waited for. Returns whether it is done.
pub(crate) fn try_fence_of(
    vcpu: &LoadedVcpu<'_, Riscv>,
    preempt: &PreemptOff,
    harts: HartMask,
    fence: Fence,
) -> bool {
    try_each(
        vcpu,
        harts,
        |other| request_fence(other, fence),
        || execute(preempt, vcpu.local().hgatp_vmid.get(), fence),
    )
}

/// Does a FENCE.I for the calling vCPU and requests it of others, if none of them has to be waited
/// for. Returns whether it is done.
pub(crate) fn try_fence_i_of(vcpu: &LoadedVcpu<'_, Riscv>, harts: HartMask) -> bool {
    try_each(vcpu, harts, |other| other.request(FENCE_I), fence::fence_i)
}

/// Calls `request` with all of `harts` but the calling vCPU, and `own` if that is one of them. Returns
/// whether none of the others is in the guest by now. If one was all the time, or it takes time to find
/// them, nothing is done.
fn try_each(
    vcpu: &LoadedVcpu<'_, Riscv>,
    harts: HartMask,
    request: impl Fn(&Vcpu<Riscv>),
    own: impl FnOnce(),
) -> bool {
    let vm = vcpu.vm();
    let is_own = |hart: &Vcpu<Riscv>| hart.index() == vcpu.index();
    let others = vm::harts(vm, harts).filter(|hart| !is_own(hart));

    if !vm::are_near(vm, harts) || others.clone().any(Vcpu::is_in_guest_mode) {
        return false;
    }
    others.clone().for_each(request);
    if !Vm::have_left_guest(others) {
        return false;
    }
    if harts.contains(vm::hartid(vcpu)) {
        own();
    }
    true
}

/// Makes a request to vCPUs, and waits until none of them is in the guest that has not seen it.
pub(crate) fn request_of(vm: &Vm<Riscv>, harts: HartMask, request: Request) {
    vm.request_some(request, vm::harts(vm, harts));
}

/// Forgets all guests' translations on all harts, and waits for it.
pub(crate) fn flush_all_harts() {
    smp::on_each(fence::hfence_gvma_all);
}
