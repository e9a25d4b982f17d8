// SPDX-License-Identifier: GPL-2.0

//! The guest's memory. This file has the hooks that the KVM core calls when memslots come, change
//! and go, and when the host takes pages away.

pub(crate) mod activate;
pub mod entry;
pub mod fault_around;
pub mod fence_queue;
pub(crate) mod gstage;
pub(crate) mod map;
pub(crate) mod remote_fence;
mod split;
pub(crate) mod table;
pub(crate) mod tlb;
pub(crate) mod vmid;

use crate::{
    abi::pte::Level,
    mmu::gstage::Gone,
    params,
    Riscv, //
};
use kernel::{
    kvm::{
        Gfn,
        GfnRange,
        MemoryChange,
        Memslot,
        MmuGuard,
        MmuLocked,
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
    let mut gone = Gone::new();
    for start in (gfns.start.0.next_multiple_of(pages)..gfns.end.0).step_by(pages as usize) {
        let gfn = Gfn(start);
        if gstage::has_page_table_below(&mmu, gfn) && mmu.block_size(slot, gfn) > 1 {
            let block = gfn..Gfn(start + pages);
            gone.unmap(&mut mmu, block.clone(), false);
            // The next access fills the table above again.
            gone.prune(&mut mmu, block, Level::PAGE);
        }
        mmu.yield_if_needed(|vm| gone.fence(vm));
    }
    gone.fence(vm);
    drop(mmu);
    table::free_many_retired(vm);
}

/// Unmaps everything. No vCPU runs any more.
pub(crate) fn unmap_all(vm: &Vm<Riscv>) {
    // The tables go with the VM.
    let gfns = Gfn(0)..vm.backend().gstage.end();
    gstage::unmap(&mut vm.mmu_write_lock(), gfns, true);
}

/// Unmaps a memslot that is about to go or to move, and frees the tables that it leaves empty.
pub(crate) fn unmap_slot(vm: &Vm<Riscv>, slot: &Memslot<'_>) {
    let gfns = slot.gfns();
    let mut mmu = vm.mmu_write_lock();
    let mut gone = Gone::new();
    gone.unmap(&mut mmu, gfns.clone(), true);
    let highest = vm.backend().gstage.mode().root_level();
    gone.prune(&mut mmu, gfns, highest);
    gone.fence(vm);
    drop(mmu);
    table::free_many_retired(vm);
}

/// Says whether a memslot may be changed.
///
/// # Errors
///
/// [`EFAULT`] if the slot ends beyond the guest's physical addresses, [`EPERM`] if user space may
/// not write the memory, [`EINVAL`] if the memory is a device's and writes to it are to be logged,
/// or if memory of a `guest_memfd` is to be private to the guest, beside other memory of the slot:
/// here, no guest can say which of the two it wants.
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
    if new.has_guest_memfd() {
        return if new.is_guest_memfd_only() {
            Ok(())
        } else {
            Err(EINVAL)
        };
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
    // pages dirty instead, a page is write-protected when user space clears it. No vCPU maps a page
    // as one whose writes are not logged any more, because the core has waited for those that
    // looked at the slot before it changed.
    if new.logs_dirty_pages() && !vm.dirty_log_starts_all_set() {
        let gfns = new.gfns();
        let mut mmu = vm.mmu_read_lock();
        let changed = gstage::write_protect(&mut mmu, gfns.clone());
        if params::eager_page_split() {
            split::split(&mut mmu, gfns.clone());
        }
        drop(mmu);
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
pub(crate) fn age_range(mmu: &MmuLocked<'_, Riscv>, gfns: GfnRange) -> bool {
    gstage::age(mmu, gfns)
}

/// Returns whether a range has been accessed since the last call of [`age_range`].
pub(crate) fn test_age_range(mmu: &MmuLocked<'_, Riscv>, gfns: GfnRange) -> bool {
    gstage::is_young(mmu, gfns)
}

/// Write-protects the frames `base + i` for each bit `i` of `mask`, whose pages become small if the
/// log has started without that. The core flushes TLBs. May release the lock in between.
pub(crate) fn log_dirty_masked(mmu: &mut MmuWriteGuard<'_, Riscv>, base: Gfn, mask: u64) {
    gstage::write_protect_mask(mmu, base, mask);
    if let Some(last) = mask.checked_ilog2() {
        if mmu.vm().dirty_log_starts_all_set() && params::eager_page_split() {
            let first = Gfn(base.0 + u64::from(mask.trailing_zeros()));
            split::split(mmu, first..Gfn(base.0 + u64::from(last) + 1));
        }
    }
}

/// Makes all vCPUs fence a range, and waits until none of them is in the guest that has not.
pub(crate) fn flush_remote_tlbs(vm: &Vm<Riscv>, gfns: GfnRange) {
    remote_fence::fence_gfns(vm, gfns, Level::PAGE);
}
