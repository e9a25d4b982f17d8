// SPDX-License-Identifier: GPL-2.0

//! The guest's memory. This file has the hooks that the KVM core calls when memslots come, change
//! and go, and when the host takes pages away.

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
    mmu::fence_queue::{
        Fence,
        Span, //
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

/// Unmaps the pages of 4K where the host has a larger page, which the next access then maps.
fn unmap_split_pages(vm: &Vm<Riscv>, slot: &Memslot<'_>) {
    let gfns = slot.gfns();
    let pages = Level::MEGAPAGE.pages();

    let mut mmu = vm.mmu_write_lock();
    for start in (gfns.start.0.next_multiple_of(pages)..gfns.end.0).step_by(pages as usize) {
        let gfn = Gfn(start);
        if gstage::has_page_table_below(&mmu, gfn) && mmu.block_size(slot, gfn) > 1 {
            gstage::unmap(&mut mmu, gfn..Gfn(start + pages), false);
        }
        mmu.yield_if_needed(|_| ());
    }
}

/// Unmaps everything. No vCPU runs any more.
pub(crate) fn unmap_all(vm: &Vm<Riscv>) {
    // The tables go with the VM.
    let gfns = Gfn(0)..vm.backend().gstage.end();
    gstage::unmap(&mut vm.mmu_write_lock(), gfns, true);
}

/// Unmaps a memslot that is about to go or to move.
pub(crate) fn unmap_slot(vm: &Vm<Riscv>, slot: &Memslot<'_>) {
    gstage::unmap(&mut vm.mmu_write_lock(), slot.gfns(), true);
}

/// Says whether a memslot may be changed.
///
/// # Errors
///
/// [`EFAULT`] if the slot ends beyond the guest's physical addresses, [`EPERM`] if user space may
/// not write the memory, [`EINVAL`] if the memory is a device's and writes to it are to be logged.
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
        // Writes to the memory of a device cannot be logged.
        if new.logs_dirty_pages() && vma & flags::PFNMAP != 0 {
            return Err(EINVAL);
        }
        Ok(())
    })
}

/// Adapts the mapping of a memslot that has been changed.
pub(crate) fn commit_slot(vm: &Vm<Riscv>, new: Option<&Memslot<'_>>, change: MemoryChange) {
    let (Some(new), false) = (new, change == MemoryChange::Delete) else {
        return;
    };
    if change == MemoryChange::Flags && !new.logs_dirty_pages() {
        // Logging has ended.
        return unmap_split_pages(vm, new);
    }
    // From here on, the first write to a page faults, and is logged. If the log starts with all
    // pages dirty instead, a page is write-protected when user space clears it.
    if new.logs_dirty_pages() && !vm.dirty_log_starts_all_set() {
        let gfns = new.gfns();
        let changed = gstage::write_protect(&vm.mmu_write_lock(), gfns.clone());
        if changed {
            vm.flush_remote_tlbs(&gfns);
        }
    }
}

/// Unmaps a range whose pages the host is about to take away. Returns whether the core has to flush
/// TLBs for it, which it never has. May release the lock in between if `may_yield`.
pub(crate) fn unmap_range(
    mmu: &mut MmuWriteGuard<'_, Riscv>,
    gfns: GfnRange,
    may_yield: bool,
) -> bool {
    gstage::unmap(mmu, gfns, may_yield);
    // `unmap()` has flushed exactly what it has unmapped.
    false
}

/// Returns whether a range has been accessed since the last call, and clears the record of it.
pub(crate) fn age_range(mmu: &MmuWriteGuard<'_, Riscv>, gfns: GfnRange) -> bool {
    gstage::age(mmu, gfns)
}

/// Returns whether a range has been accessed since the last call of [`age_range`].
pub(crate) fn test_age_range(mmu: &MmuWriteGuard<'_, Riscv>, gfns: GfnRange) -> bool {
    gstage::is_young(mmu, gfns)
}

/// Write-protects the frames `base + i` for each bit `i` of `mask`. The core flushes TLBs.
pub(crate) fn log_dirty_masked(mmu: &MmuWriteGuard<'_, Riscv>, base: Gfn, mask: u64) {
    let mut left = mask;
    while left != 0 {
        let gfn = Gfn(base.0 + u64::from(left.trailing_zeros()));
        let _ = gstage::write_protect(mmu, gfn..Gfn(gfn.0 + 1));
        left &= left - 1;
    }
}

/// Makes all vCPUs fence a range, and waits until none of them is in the guest that has not.
pub(crate) fn flush_remote_tlbs(vm: &Vm<Riscv>, gfns: GfnRange) {
    let (start, end) = (gfns.start.gpa().0, gfns.end.gpa().0);
    let span = Span::new(start, end.saturating_sub(start));
    remote_fence::fence_all(vm, Fence::Gpa(span));
}
