// SPDX-License-Identifier: GPL-2.0

//! The TLB of this hart: fences, and whose translations it may hold.
//!
//! A TLB entry carries a VMID, and an ASID that the guest has chosen. vCPUs of one VM share the
//! VMID, while each of them may use the same ASID for another address space. And a fence that a
//! vCPU has executed acts on the hart it ran on then, not on the hart it runs on next. So for each
//! VM and each hart there is one vCPU that may use what the hart has cached: the owner, which ran
//! there last.

use crate::{
    abi::nacl::{
        Hfence,
        PageRange, //
    },
    hart::{
        fence,
        guest_csr,
        nacl, //
    },
    mmu::{
        fence_queue::{
            Fence,
            Span, //
        },
        vmid::Vmid, //
    },
};
use kernel::{
    access_once::AccessOnce,
    cpu::nr_cpu_ids,
    kvm::PreemptOff,
    prelude::*,
    sync::atomic::Atomic, //
};

/// What a hart's TLB may hold that a vCPU must not use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stale {
    /// Nothing: the vCPU has run here last of its VM, and has run nowhere else since.
    Nothing,
    /// VS-stage translations of another vCPU of the VM, which has run here since.
    VsStage,
    /// Everything: the vCPU has run elsewhere, and its fences acted there.
    Everything,
}

/// For each CPU, the vCPU of a VM that owns what the CPU's TLB holds under the VM's VMID.
pub(crate) struct TlbOwners(KVec<Atomic<i32>>);

impl TlbOwners {
    /// The index of no vCPU.
    const NOBODY: i32 = -1;

    /// Allocates the table, in which no vCPU owns anything. May sleep.
    pub(crate) fn new() -> Result<Self> {
        let mut owners = KVec::with_capacity(nr_cpu_ids() as usize, GFP_KERNEL_ACCOUNT)?;
        for _ in 0..nr_cpu_ids() {
            owners.push(Atomic::new(Self::NOBODY), GFP_KERNEL_ACCOUNT)?;
        }
        Ok(Self(owners))
    }

    /// Returns what the TLB of CPU `cpu` may hold that the vCPU with index `vcpu` must not use.
    ///
    /// `tlb_on` is the CPU that the vCPU has last entered the guest on, if any.
    #[inline]
    pub(crate) fn stale_on(&self, cpu: u32, vcpu: i32, tlb_on: Option<u32>) -> Stale {
        let owner = self
            .0
            .get(cpu as usize)
            .map_or(Self::NOBODY, AccessOnce::read_once);
        if tlb_on != Some(cpu) {
            Stale::Everything
        } else if owner != vcpu {
            Stale::VsStage
        } else {
            Stale::Nothing
        }
    }

    /// Makes the vCPU with index `vcpu` the owner of what CPU `cpu` caches from now on.
    #[inline]
    pub(crate) fn set(&self, cpu: u32, vcpu: i32) {
        if let Some(owner) = self.0.get(cpu as usize) {
            owner.write_once(vcpu);
        }
    }
}

/// This hart has a VMID in `hgatp`, for as long as preemption is disabled. HFENCE.VVMA acts on that
/// VMID.
#[derive(Clone, Copy)]
pub(crate) struct Prepared<'a> {
    vmid: Vmid,
    preempt: &'a PreemptOff,
}

impl<'a> Prepared<'a> {
    /// Returns the token for a hart that has `vmid` in `hgatp`.
    #[inline(always)]
    pub(super) fn new(vmid: Vmid, preempt: &'a PreemptOff) -> Self {
        Self { vmid, preempt }
    }
}

/// Drops all G-stage translations of the VMID from this hart's TLB.
pub(crate) fn fence_all_gpas(hart: Prepared<'_>) {
    let vmid = hart.vmid;
    if !queue(hart.preempt, || {
        Some(Hfence::GvmaVmidAll(vmid.raw() as u16))
    }) {
        fence::hfence_gvma_vmid(vmid.raw());
    }
}

/// Drops all VS-stage translations of the VMID from this hart's TLB.
pub(crate) fn fence_all_gvas(hart: Prepared<'_>) {
    if !queue(hart.preempt, || {
        Some(Hfence::VvmaAll(hart.vmid.raw() as u16))
    }) {
        guest_csr::commit_hgatp(hart.preempt);
        fence::hfence_vvma_all();
    }
}

/// Executes a fence on this hart, for the VMID.
pub(crate) fn execute(hart: Prepared<'_>, fence: Fence) {
    let (preempt, vmid) = (hart.preempt, hart.vmid);
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
        Fence::Gpa(span) => match span.leaves() {
            Some(leaves) => fence::hfence_gvma_vmid_gpas(vmid.raw(), leaves),
            None => fence::hfence_gvma_vmid(vmid.raw()),
        },
        Fence::Gva(span) => match span.leaves() {
            Some(leaves) => fence::hfence_vvma_gvas(leaves),
            None => fence::hfence_vvma_all(),
        },
        Fence::GvaOfAsid(span, asid) => match span.leaves() {
            Some(leaves) => fence::hfence_vvma_asid_gvas(asid, leaves),
            None => fence::hfence_vvma_asid(asid),
        },
    }
}

/// Queues a fence in shared memory. Returns `false` if the platform has no queue, or has no room in
/// it; then the caller executes the fence.
#[inline]
fn queue(preempt: &PreemptOff, fence: impl FnOnce() -> Option<Hfence>) -> bool {
    nacl::sync_hfence()
        && fence().is_some_and(|fence| nacl::this_hart_preempt(preempt).queue_hfence(fence))
}

/// Returns the entry of the queue in shared memory for a fence.
fn to_nacl(vmid: Vmid, fence: Fence) -> Option<Hfence> {
    let pages = |span: Span| PageRange::new(span.start(), span.size(), span.order()).ok();
    let vmid = vmid.raw() as u16;
    // The guest decides how many pages there are, and the SBI may fence them one by one.
    let is_worth_it = |span: Span| span.leaves().is_some();
    Some(match fence {
        Fence::Gpa(span) if !is_worth_it(span) => Hfence::GvmaVmidAll(vmid),
        Fence::Gva(span) if !is_worth_it(span) => Hfence::VvmaAll(vmid),
        Fence::GvaOfAsid(span, asid) if !is_worth_it(span) => {
            Hfence::VvmaAsidAll(vmid, asid as u16)
        }
        Fence::AllGpas => Hfence::GvmaVmidAll(vmid),
        Fence::AllGvas => Hfence::VvmaAll(vmid),
        // An ASID has at most 16 bits; the hart ignores the others, and so does this.
        Fence::Asid(asid) => Hfence::VvmaAsidAll(vmid, asid as u16),
        Fence::Gpa(span) => Hfence::GvmaVmid(pages(span)?, vmid),
        Fence::Gva(span) => Hfence::Vvma(pages(span)?, vmid),
        Fence::GvaOfAsid(span, asid) => Hfence::VvmaAsid(pages(span)?, vmid, asid as u16),
    })
}
