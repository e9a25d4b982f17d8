// SPDX-License-Identifier: GPL-2.0

//! Changes to the G-stage page table of a VM, which translates guest physical to host physical
//! addresses. The guard of the MMU lock says which VM that is.

use crate::{
    abi::pte::{
        Level,
        Pte,
        Rights, //
    },
    mmu::{
        entry::Updated,
        fault_around,
        fence_queue::Fence,
        remote_fence,
        table::{
            self,
            Entries,
            Entry,
            MapWalk,
            Mapped,
            Node,
            PageTable, //
        },
    },
    params,
    Riscv, //
};
use core::cell::Cell;
use kernel::{
    kvm::{
        ActiveMemslot,
        Backing,
        Gfn,
        GfnRange,
        MemoryCache,
        MmuGuard,
        MmuLocked,
        MmuReadGuard,
        MmuWriteGuard,
        Vm, //
    },
    prelude::*, //
};

/// Maps a page, by a leaf as large as the block that it lies in, with `rights` or those that the
/// host grants.
///
/// Others may map pages meanwhile. `cache` holds
/// [`max_new_tables`](crate::mmu::table::Tree::max_new_tables) pages, which is enough unless they
/// come in between.
///
/// # Errors
///
/// [`EFAULT`] if the translation scheme does not reach the frame.
#[inline(always)]
pub(crate) fn map(
    backing: &Backing<'_, Riscv>,
    cache: &mut MemoryCache,
    rights: Rights,
) -> Result<Mapped> {
    let mut walk = MapWalk::new(backing).ok_or(EFAULT)?;
    loop {
        match walk.go_down() {
            // Smaller pages were mapped here, because the host had no large page then, or because
            // dirty pages were logged.
            Node::Table(_) => return Ok(Mapped::Table),
            Node::Empty if walk.fits() => {
                if walk.map(rights) {
                    return Ok(Mapped::New);
                }
            }
            Node::Leaf(old) if walk.fits() => {
                if let Some(mapped) = walk.remap(old, rights) {
                    return Ok(mapped);
                }
            }
            // A leaf may be larger than allowed, because dirty pages are logged one by one now. Its
            // parts have its rights, so a hart may go on with what it has cached of the leaf.
            Node::Empty | Node::Leaf(_) => match cache.take(backing.mmu()) {
                Some(page) => walk.link(page),
                None => return Ok(Mapped::NoPage),
            },
        }
    }
}

/// Maps neighbours of `gfn`, which has just been mapped as a page of its own, as far as the host
/// has them in its page tables.
///
/// A guest that goes through its memory in order then has the next pages without a fault. `rights`
/// prepares a page, and returns the rights that its leaf gets.
#[inline]
pub(crate) fn map_neighbours(
    mmu: &MmuLocked<'_, Riscv>,
    slot: &ActiveMemslot<'_>,
    gfn: Gfn,
    mut rights: impl FnMut(&Backing<'_, Riscv>) -> Rights,
) {
    let Some(table) = PageTable::around(mmu, gfn) else {
        return;
    };
    let first = table.first().0;
    let index = (gfn.0 - first) as usize;
    let window = fault_around::window(index, params::fault_around(), |i| table.is_mapped(i));
    if window.is_empty() {
        return;
    }
    let at = |index: usize| Gfn(first + index as u64);
    mmu.for_each_mapped(slot, gfn, at(window.start)..at(window.end), |backing| {
        table.map(backing, rights(backing));
    });
}

/// What has been unmapped, and not been fenced yet.
///
/// It is fenced before the lock is released: whoever takes a page away after that finds nothing
/// mapped, and does not fence.
#[must_use]
pub(crate) struct Gone {
    /// Frames, and the level of the smallest leaf that has mapped any of them.
    leaves: Option<(GfnRange, Level)>,
    /// Whether tables are gone.
    tables: bool,
}

impl Gone {
    /// Returns what nothing is gone with.
    pub(crate) fn new() -> Self {
        Self {
            leaves: None,
            tables: false,
        }
    }

    /// Removes the leaves that map `gfns`, which lie beyond all others here. May fence what is
    /// gone, and release the lock then, if `may_yield`.
    pub(crate) fn unmap(
        &mut self,
        mmu: &mut MmuWriteGuard<'_, Riscv>,
        mut gfns: GfnRange,
        may_yield: bool,
    ) {
        while gfns.start < gfns.end {
            let block = first_block(&gfns);
            let mut entries = Entries::of(mmu, block.clone());
            for entry in entries.by_ref() {
                // A leaf that is only partly in the range is removed as a whole. The rest of it
                // faults in again.
                if entry.remove_leaf() == Updated::Changed {
                    self.add(entry.gfns(), entry.level());
                }
            }
            gfns.start = entries.reached().max(block.end);
            if may_yield {
                mmu.yield_if_needed(|vm| self.fence(vm));
            }
        }
    }

    #[inline]
    fn add(&mut self, gfns: GfnRange, level: Level) {
        self.leaves = Some(match self.leaves.take() {
            Some((gone, smallest)) => (gone.start.min(gfns.start)..gfns.end, smallest.min(level)),
            None => (gfns, level),
        });
    }

    /// Removes the tables for `gfns` that translate nothing any more, as far as their entries are
    /// at most of level `highest`. May fence what is gone, and release the lock then.
    pub(crate) fn prune(
        &mut self,
        mmu: &mut MmuWriteGuard<'_, Riscv>,
        mut gfns: GfnRange,
        highest: Level,
    ) {
        while gfns.start < gfns.end {
            let block = first_block(&gfns);
            self.tables |= table::prune(mmu, &block, highest);
            // There is no table below a high entry that is left.
            let (left, _) = Entry::lowest(mmu, block.start);
            gfns.start = left.gfns().end.max(block.end);
            mmu.yield_if_needed(|vm| self.fence(vm));
        }
    }

    /// Makes all vCPUs fence what is gone. The lock is held.
    pub(crate) fn fence(&mut self, vm: &Vm<Riscv>) {
        let leaves = self.leaves.take();
        if core::mem::take(&mut self.tables) {
            remote_fence::fence_all(vm, Fence::AllGpas);
        } else if let Some((gfns, level)) = leaves {
            remote_fence::fence_gfns(vm, gfns, level);
        }
    }
}

/// Removes the leaves that map `gfns`, and makes all vCPUs fence them.
///
/// May release the lock in between if `may_yield`.
pub(crate) fn unmap(mmu: &mut MmuWriteGuard<'_, Riscv>, gfns: GfnRange, may_yield: bool) {
    let mut gone = Gone::new();
    gone.unmap(mmu, gfns, may_yield);
    gone.fence(mmu.vm());
}

/// Returns whether a table of the lowest level translates `gfn`, whether `gfn` is mapped or not.
pub(crate) fn has_page_table_below(mmu: &MmuLocked<'_, Riscv>, gfn: Gfn) -> bool {
    PageTable::around(mmu, gfn).is_some()
}

/// Write-protects `gfns`. Returns whether any of them was writable. May release the lock in
/// between.
pub(crate) fn write_protect(mmu: &mut MmuReadGuard<'_, Riscv>, mut gfns: GfnRange) -> bool {
    let mut changed = false;
    while gfns.start < gfns.end {
        let block = first_block(&gfns);
        let mut entries = Entries::of(mmu, block.clone());
        changed |= entries.update(Entry::write_protect);
        gfns.start = entries.reached().max(block.end);
        mmu.yield_if_needed(|_| ());
    }
    changed
}

/// Returns the first of `gfns`, as far as they are in one block of 2M. After that many, whoever
/// waits for the lock gets it.
fn first_block(gfns: &GfnRange) -> GfnRange {
    let level = Level::MEGAPAGE;
    gfns.start..Gfn(level.first(gfns.start.0) + level.pages()).min(gfns.end)
}

/// Write-protects the frames `base + i` for each bit `i` of `mask`.
pub(crate) fn write_protect_mask(mmu: &MmuLocked<'_, Riscv>, base: Gfn, mask: u64) {
    let mut table: Option<PageTable<'_>> = None;
    let mut left = mask;
    while left != 0 {
        let gfn = Gfn(base.0 + u64::from(left.trailing_zeros()));
        if let Some(entry) = table.as_ref().and_then(|table| table.entry(gfn)) {
            // A page has no parts.
            let _ = entry.write_protect();
        } else {
            let mut entries = Entries::of(mmu, gfn..Gfn(gfn.0 + 1));
            entries.update(Entry::write_protect);
            table = entries.into_table();
        }
        left &= left - 1;
    }
}

/// Clears the accessed bits of `gfns`. Returns whether one was set.
pub(crate) fn age(mmu: &MmuLocked<'_, Riscv>, gfns: GfnRange) -> bool {
    Entries::of(mmu, gfns).update(Entry::age)
}

/// Returns whether any of `gfns` has been accessed since [`age`].
pub(crate) fn is_young(mmu: &MmuLocked<'_, Riscv>, gfns: GfnRange) -> bool {
    let found = Cell::new(false);
    Entries::of(mmu, gfns).update(|entry| entry.look_for_young(&found));
    found.get()
}

/// Makes a page writable that has been write-protected for the dirty log. Returns [`None`] if there
/// is no such page.
pub(crate) fn make_page_writable(mmu: &MmuLocked<'_, Riscv>, gfn: Gfn) -> Option<Mapped> {
    let (entry, _) = Entry::lowest(mmu, gfn);
    if entry.level() == Level::PAGE {
        entry.make_writable()
    } else {
        None
    }
}

/// Returns the leaf that maps `gfn`.
pub(crate) fn leaf(mmu: &MmuLocked<'_, Riscv>, gfn: Gfn) -> Option<Pte> {
    Entry::lowest(mmu, gfn).0.leaf()
}

/// Returns the level of the leaf that maps `gfn`.
pub(crate) fn leaf_level(mmu: &MmuLocked<'_, Riscv>, gfn: Gfn) -> Option<Level> {
    let (entry, _) = Entry::lowest(mmu, gfn);
    entry.leaf().map(|_| entry.level())
}

/// Lets the guest fetch from `gfn`. Returns [`None`] if no leaf maps what `seen` maps.
pub(crate) fn make_executable(mmu: &MmuLocked<'_, Riscv>, gfn: Gfn, seen: Pte) -> Option<Mapped> {
    Entry::lowest(mmu, gfn).0.make_executable(seen)
}
