// SPDX-License-Identifier: GPL-2.0

//! The guest's memory as the KVM core sees it: memslots come, change and go, and the host takes pages
//! away.

pub(crate) mod activate;
pub mod fence_queue;
pub(crate) mod gstage;
pub(crate) mod map;
pub(crate) mod remote_fence;
pub(crate) mod table;
pub(crate) mod tlb;
pub(crate) mod vmid;

use crate::{
    abi::pte::Level,
    mmu::{
        fence_queue::{
            Fence,
            Span, //
        },
        map::max_level, //
    },
    Riscv, //
};
use kernel::{
    kvm::{
        Gfn,
        GfnRange,
        MemoryChange,
        Memslot,
        MmuWriteGuard,
        Vm, //
    },
    mm::virt::flags,
    prelude::*, //
};

/// Unmaps what the guest has in pages of 4K and the host has in larger ones, so that the next access
/// maps it by those.
fn unmap_split_pages(vm: &Vm<Riscv>, slot: &Memslot<'_>) {
    let gstage = &vm.backend().gstage;
    let gfns = slot.gfns();
    let pages = Level::MEGAPAGE.pages();

    let mut mmu = vm.mmu_write_lock();
    for start in (gfns.start.0.next_multiple_of(pages)..gfns.end.0).step_by(pages as usize) {
        let gfn = Gfn(start);
        if gstage.has_page_table_below(&mmu, gfn) && max_level(&mmu, slot, gfn) > Level::PAGE {
            gstage.unmap(&mut mmu, gfn..Gfn(start + pages), false);
        }
        mmu.yield_if_needed(|_| ());
    }
}

pub(crate) fn unmap_all(vm: &Vm<Riscv>) {
    let gstage = &vm.backend().gstage;
    // No vCPU runs any more, and none will. Tables go with the VM.
    gstage.unmap(&mut vm.mmu_write_lock(), Gfn(0)..gstage.end(), true);
}

pub(crate) fn unmap_slot(vm: &Vm<Riscv>, slot: &Memslot<'_>) {
    let gstage = &vm.backend().gstage;
    gstage.unmap(&mut vm.mmu_write_lock(), slot.gfns(), true);
}

pub(crate) fn prepare_slot(
    vm: &Vm<Riscv>,
    new: Option<&Memslot<'_>>,
    change: MemoryChange,
) -> Result {
    let (Some(new), false) = (new, change == MemoryChange::Delete) else {
        return Ok(());
    };
    if new.gfns().end > vm.backend().gstage.end() {
        return Err(EFAULT);
    }
    new.try_for_each_vma(vm, |vma| {
        if !new.is_read_only() && vma & flags::WRITE == 0 {
            return Err(EPERM);
        }
        // Device memory is mapped, but writes to it are not logged.
        if new.logs_dirty_pages() && vma & flags::PFNMAP != 0 {
            return Err(EINVAL);
        }
        Ok(())
    })
}

pub(crate) fn commit_slot(vm: &Vm<Riscv>, new: Option<&Memslot<'_>>, change: MemoryChange) {
    let (Some(new), false) = (new, change == MemoryChange::Delete) else {
        return;
    };
    if change == MemoryChange::Flags && !new.logs_dirty_pages() {
        // Logging has ended.
        return unmap_split_pages(vm, new);
    }
    // From here on, writes are noticed because they fault; unless all pages are dirty to start
    // with, and user space has each protected when it clears it.
    if new.logs_dirty_pages() && !vm.dirty_log_starts_all_set() {
        let gfns = new.gfns();
        let changed = vm
            .backend()
            .gstage
            .write_protect(&vm.mmu_write_lock(), gfns.clone());
        if changed {
            vm.flush_remote_tlbs(&gfns);
        }
    }
}

pub(crate) fn unmap_range(
    mmu: &mut MmuWriteGuard<'_, Riscv>,
    gfns: GfnRange,
    may_yield: bool,
) -> bool {
    mmu.vm().backend().gstage.unmap(mmu, gfns, may_yield);
    // It has been flushed, and not more than that.
    false
}

pub(crate) fn age_range(mmu: &MmuWriteGuard<'_, Riscv>, gfns: GfnRange) -> bool {
    mmu.vm().backend().gstage.age(mmu, gfns)
}

pub(crate) fn test_age_range(mmu: &MmuWriteGuard<'_, Riscv>, gfns: GfnRange) -> bool {
    mmu.vm().backend().gstage.is_young(mmu, gfns)
}

pub(crate) fn log_dirty_masked(mmu: &MmuWriteGuard<'_, Riscv>, base: Gfn, mask: u64) {
    let gstage = &mmu.vm().backend().gstage;
    let mut left = mask;
    while left != 0 {
        let gfn = Gfn(base.0 + u64::from(left.trailing_zeros()));
        let _ = gstage.write_protect(mmu, gfn..Gfn(gfn.0 + 1));
        left &= left - 1;
    }
}

pub(crate) fn flush_remote_tlbs(vm: &Vm<Riscv>, gfns: GfnRange) {
    let (start, end) = (gfns.start.gpa().0, gfns.end.gpa().0);
    let span = Span::new(start, end.saturating_sub(start));
    remote_fence::fence_all(vm, Fence::Gpa(span));
}
