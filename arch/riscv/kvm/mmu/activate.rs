// SPDX-License-Identifier: GPL-2.0

//! Makes the hart that a vCPU is loaded on translate for that vCPU.
//!
//! A vCPU that is loaded may be preempted, and then finds the `hgatp` of another VM, or comes to
//! another hart. So ahead of each entry, and of each read of the guest's memory, [`prepare`]
//! compares what the hart has with what the vCPU needs:
//!
//! | event | `hgatp` of the hart | entries that must not be used |
//! | --- | --- | --- |
//! | the vCPU is loaded where it still owns the CSRs | unchanged | by [`TlbOwners`] |
//! | the vCPU is loaded otherwise | unknown | by [`TlbOwners`] |
//! | the VM has another VMID than at the last entry | the new VMID, from [`prepare`] on | all |
//! | the platform has no VMIDs, and `hgatp` was unknown | VMID 0, from [`prepare`] on | all |
//! | [`prepare`] has returned | the VM's root and VMID | none |
//! | the vCPU is reset | unchanged | all |
//!
//! [`TlbOwners`]: crate::mmu::tlb::TlbOwners

use crate::{
    hart::{
        csr, fence,
        guest_csr::{
            self,
            Translating, //
        },
    },
    mmu::{
        fence_queue::{
            Fence,
            FenceQueue,
            Queued, //
        },
        remote_fence::{
            FENCES,
            FENCE_I, //
        },
        table::HgatpVmid,
        tlb::{
            self,
            Prepared,
            Stale,
            TlbOwners, //
        },
        vmid::{
            self,
            Vmid, //
        },
    },
    Riscv, //
};
use core::cell::Cell;
use kernel::{
    cpu::CpuId,
    interrupt::LocalInterruptDisabled,
    kvm::{
        LoadedVcpu,
        PreemptOff,
        Request, //
    },
};

/// How far the hart that a vCPU is loaded on translates for it.
///
/// `vsatp` and `hgatp` act while the host runs, too, by what the hart does speculatively. The page
/// tables of one guest must not be walked by the translations of another, because what is found
/// there would be cached under the other's VMID. So `vsatp` is zero whenever `hgatp`, or what
/// `henvcfg` says about VS-stage translation, changes (privileged specification,
/// "Memory-Management Fences" of the H extension).
pub(crate) struct Activation {
    /// The VMID in `hgatp`. With [`Vmid::NONE`], `vsatp` is zero there.
    hgatp: HgatpVmid,
    /// The guest's `satp` while it is not on the hart.
    vsatp: Cell<u64>,
    /// The VMID that `stale` speaks of: that of the last entry.
    fenced: Cell<Vmid>,
    /// What the hart's TLB may hold that the vCPU must not use.
    stale: Cell<Stale>,
    /// The CPU that the vCPU has last entered the guest on.
    tlb_on: Cell<Option<u32>>,
}

impl Activation {
    /// Returns the state of a vCPU that has never run.
    pub(crate) fn new() -> Self {
        Self {
            hgatp: HgatpVmid::new(),
            vsatp: Cell::new(0),
            fenced: Cell::new(Vmid::NONE),
            stale: Cell::new(Stale::Everything),
            tlb_on: Cell::new(None),
        }
    }

    /// Notes that the vCPU with index `vcpu` is loaded on CPU `cpu`.
    #[inline]
    pub(crate) fn loaded(&self, owners: &TlbOwners, cpu: u32, vcpu: i32) {
        self.stale
            .set(owners.stale_on(cpu, vcpu, self.tlb_on.get()));
    }

    /// Makes the hart translate for no vCPU. This comes before `hgatp` changes, and before the
    /// guest's other CSRs are written, of which some change how `vsatp` acts.
    #[inline]
    pub(crate) fn end(&self, preempt: &PreemptOff) {
        guest_csr::write::<{ csr::VSATP }>(preempt, 0);
        // `prepare()` writes both registers, because the VM may have no VMID before the entry.
        self.hgatp.forget();
    }

    /// Keeps `vsatp` of a vCPU that is taken off the hart.
    #[inline]
    pub(crate) fn put(&self, preempt: &PreemptOff) {
        if self.hgatp.get() != Vmid::NONE {
            self.vsatp.set(guest_csr::read::<{ csr::VSATP }>(preempt));
        }
    }

    /// Returns the `satp` of a guest whose vCPU is not loaded.
    pub(crate) fn satp(&self) -> u64 {
        self.vsatp.get()
    }

    /// Sets the `satp` of a guest whose vCPU is not loaded. The caller makes the next load write
    /// all of the guest's CSRs.
    pub(crate) fn set_satp(&self, satp: u64) {
        self.vsatp.set(satp);
    }

    /// Resets the state of a vCPU that is not loaded. The next entry fences everything, whatever
    /// hart it is on.
    pub(crate) fn reset(&self) {
        self.vsatp.set(0);
        self.tlb_on.set(None);
        self.stale.set(Stale::Everything);
    }
}

/// Returns whether the hart is prepared for the vCPU, by a VMID of this generation, as the token
/// that lets the guest run.
#[inline(always)]
pub(crate) fn translating<'a>(
    vcpu: &'a LoadedVcpu<'_, Riscv>,
    irq: &'a LocalInterruptDisabled,
) -> Option<Translating<'a>> {
    vcpu.local().activation.hgatp.translating(vcpu, irq)
}

/// Loads `hgatp` and drops stale translations. The VMID loaded may be of an older generation, so
/// [`translating`] comes after this.
///
/// The VM must have had a VMID ([`VmVmid::ensure`](vmid::VmVmid::ensure)).
#[inline]
pub(crate) fn prepare<'a>(vcpu: &LoadedVcpu<'_, Riscv>, preempt: &'a PreemptOff) -> Prepared<'a> {
    let vm = vcpu.vm().backend();
    let local = &vcpu.local().activation;
    let mut vmid = vm.vmid.last(preempt);
    if local.hgatp.get() != vmid {
        if local.hgatp.get() != Vmid::NONE {
            local.put(preempt);
            local.end(preempt);
        }
        // Another vCPU may have changed the VMID meanwhile.
        vmid = local.hgatp.load(vcpu, preempt);
        guest_csr::write::<{ csr::VSATP }>(preempt, local.vsatp.get());
        // Earlier fences were for another VMID, or, without VMIDs, for another VM: fence
        // everything.
        if local.fenced.replace(vmid) != vmid || !vmid::in_use() {
            local.stale.set(Stale::Everything);
        }
    }
    let hart = Prepared::new(vmid, preempt);
    if local.stale.get() != Stale::Nothing {
        if local.stale.get() == Stale::Everything {
            tlb::fence_all_gpas(hart);
            // The guest's own FENCE.I acted on another hart.
            fence::fence_i();
        }
        tlb::fence_all_gvas(hart);
        let cpu = CpuId::current().as_u32();
        vm.tlb_owners.set(cpu, vcpu.index());
        local.tlb_on.set(Some(cpu));
        local.stale.set(Stale::Nothing);
    }
    if vcpu.request_pending() {
        if vcpu.take_request(FENCE_I) {
            fence::fence_i();
        }
        // The core makes this request when pages of the guest's memory go.
        if vcpu.take_request(Request::TLB_FLUSH) {
            tlb::fence_all_gpas(hart);
        }
    }
    hart
}

/// Executes a fence for the calling vCPU, which has not been preempted since [`prepare`].
pub(crate) fn fence_here(vcpu: &LoadedVcpu<'_, Riscv>, preempt: &PreemptOff, fence: Fence) {
    let hart = Prepared::new(vcpu.local().activation.hgatp.get(), preempt);
    tlb::execute(hart, fence);
}

/// Executes the fences in the vCPU's queue.
pub(crate) fn run_queued_fences(vcpu: &LoadedVcpu<'_, Riscv>) {
    if !vcpu.take_request(FENCES) {
        return;
    }
    // Others may queue fences as fast as this executes them, so it takes one queue's worth at a
    // time.
    for _ in 0..FenceQueue::CAPACITY {
        let (queued, is_last) = {
            let mut fences = vcpu.shared().fences.lock();
            (fences.pop(), fences.is_empty())
        };
        let Some(queued) = queued else {
            return;
        };
        vcpu.vm().backend().vmid.ensure();
        // If the vCPU has come to another hart or to another VMID since the request, this drops
        // everything.
        let preempt = PreemptOff::new();
        let hart = prepare(vcpu, &preempt);
        match queued {
            Queued::Fence(fence) => tlb::execute(hart, fence),
            Queued::Everything => {
                tlb::fence_all_gpas(hart);
                tlb::fence_all_gvas(hart);
            }
        }
        if is_last {
            // A fence that is queued after this makes a request of its own.
            return;
        }
    }
    vcpu.request(FENCES);
}

/// Returns whether the vCPU must not use the guest's translation before [`run_queued_fences`] and
/// [`prepare`] have run.
pub(crate) fn must_fence_first(vcpu: &LoadedVcpu<'_, Riscv>) -> bool {
    vcpu.request_pending() && (vcpu.is_requested(FENCES) || vcpu.is_requested(Request::TLB_FLUSH))
}
