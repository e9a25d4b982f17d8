// SPDX-License-Identifier: GPL-2.0

//! The G-stage page table of a VM, which translates guest physical to host physical addresses.

use crate::{
    abi::pte::{
        Level,
        Mode,
        Pte,
        Rights,
        PAGE_SHIFT, //
    },
    mmu::{
        table::{
            Entry,
            Node,
            Root, //
        },
        vmid::Vmid, //
    },
    Riscv, //
};
use kernel::{
    access_once::AccessOnce,
    kvm::{
        Gfn,
        GfnRange,
        Gpa,
        MemoryCache,
        MmuLocked,
        MmuReadGuard,
        MmuWriteGuard,
        Pfn,
        PreemptOff, //
    },
    prelude::*,
    sync::atomic::{
        ordering::Relaxed,
        Atomic, //
    },
};

/// The fence that a change to the page table requires.
#[must_use]
pub(crate) enum Flush {
    /// No fence.
    None,
    /// A fence on the hart that faulted, which may have cached the entry as it was before.
    Local,
    /// A fence on all harts, of what the entry was before.
    Remote,
}

/// The mapping of one page.
#[derive(Clone, Copy)]
pub(crate) struct Mapping {
    /// The guest frame.
    pub(crate) gfn: Gfn,
    /// The host frame.
    pub(crate) pfn: Pfn,
    /// What the guest may do with the page.
    pub(crate) rights: Rights,
    /// The level of the largest leaf that may map the page together with its neighbours: host
    /// memory and memslot are contiguous and aligned to the leaf's size.
    pub(crate) max_level: Level,
}

/// The G-stage page table of a VM.
pub(crate) struct GStage {
    root: Root,
    /// A [`Mode`], by its index in [`Mode::ALL`].
    mode: Atomic<u32>,
}

impl GStage {
    /// Allocates an empty page table.
    pub(crate) fn new(mode: Mode) -> Result<Self> {
        Ok(Self {
            root: Root::alloc()?,
            mode: Atomic::new(mode as u32),
        })
    }

    /// Returns the translation scheme.
    #[inline]
    pub(crate) fn mode(&self) -> Mode {
        match self.mode.read_once() {
            0 => Mode::Sv39x4,
            1 => Mode::Sv48x4,
            _ => Mode::Sv57x4,
        }
    }

    /// Changes the translation scheme of a VM that has neither vCPUs nor memory yet.
    pub(crate) fn set_mode(&self, mode: Mode) {
        self.mode.store(mode as u32, Relaxed);
    }

    /// Writes this page table and `vmid` to `hgatp`.
    #[inline]
    pub(crate) fn load_hgatp(&self, preempt: &PreemptOff, vmid: Vmid) {
        self.root.load_hgatp(preempt, self.mode(), vmid);
    }

    /// Returns the number of tables that one mapping may need besides the root.
    pub(crate) fn max_new_tables(&self) -> usize {
        self.mode().root_level().levels_below()
    }

    /// Returns the first frame beyond those that the scheme translates.
    #[inline]
    pub(crate) fn end(&self) -> Gfn {
        Gfn(1 << (self.mode().gpa_bits() - PAGE_SHIFT))
    }

    /// Returns the lowest entry that translates `gpa`, which is a leaf or empty.
    #[inline]
    fn walk<'a>(&'a self, gpa: Gpa, mmu: &'a impl MmuLocked) -> (Entry<'a>, Option<Pte>) {
        let mut table = self.root.table(self.mode(), mmu);
        loop {
            let entry = table.entry(gpa.0);
            match entry.read() {
                Node::Table(below) => table = below,
                Node::Leaf(pte) => return (entry, Some(pte)),
                Node::Empty => return (entry, None),
            }
        }
    }

    /// Returns the lowest entry for the first of `gfns`, as [`walk`](Self::walk) does, and removes
    /// the frames that the entry translates from `gfns`. Returns [`None`] when `gfns` is empty.
    ///
    /// Each call walks from the root, so the tree may change between two calls.
    #[inline]
    fn next_entry<'a>(
        &'a self,
        gfns: &mut GfnRange,
        mmu: &'a impl MmuLocked,
    ) -> Option<(Entry<'a>, Option<Pte>)> {
        if gfns.start >= gfns.end.min(self.end()) {
            return None;
        }
        let (entry, leaf) = self.walk(gfns.start.gpa(), mmu);
        let level = entry.level();
        gfns.start = Gfn(level.first(gfns.start.0) + level.pages());
        Some((entry, leaf))
    }

    /// Maps a page. The cache holds [`max_new_tables`](Self::max_new_tables) pages.
    pub(crate) fn map(
        &self,
        mmu: &MmuWriteGuard<'_, Riscv>,
        cache: &mut MemoryCache,
        mapping: Mapping,
    ) -> Result<Flush> {
        let gpa = mapping.gfn.gpa();
        let mut table = self.root.table(self.mode(), mmu);
        let mut flush = Flush::None;
        loop {
            let entry = table.entry(gpa.0);
            let level = entry.level();
            let wanted = leaf(&mapping, level);
            table = match entry.read() {
                Node::Table(below) if level > mapping.max_level => below,
                // Smaller pages were mapped here, because the host had no large page then, or
                // because dirty pages were logged.
                Node::Table(_) => {
                    entry.replace_table(wanted, mmu);
                    return Ok(flush);
                }
                Node::Empty if level <= mapping.max_level => {
                    return if entry.replace_leaf(None, wanted) {
                        Ok(flush)
                    } else {
                        Err(EAGAIN)
                    };
                }
                Node::Empty => {
                    let page = cache.take(mmu).ok_or(ENOMEM)?;
                    entry.link(page, |_| None, mmu).ok_or(EINVAL)?
                }
                Node::Leaf(old) if level <= mapping.max_level => {
                    return Ok(merge(&entry, old, wanted, flush));
                }
                Node::Leaf(old) => {
                    // The leaf is larger than allowed, because dirty pages are logged one by one
                    // now.
                    let page = cache.take(mmu).ok_or(ENOMEM)?;
                    let below = level.below().ok_or(EINVAL)?;
                    let split = entry.link(page, |i| Some(old.part(i, below)), mmu);
                    // A hart that has cached the large leaf would write without faulting.
                    flush = Flush::Remote;
                    split.ok_or(EINVAL)?
                }
            };
        }
    }

    /// Removes the leaves that map `gfns`, and makes all vCPUs fence them.
    ///
    /// May release the lock in between if `may_yield`. The fence for what has been removed comes
    /// before that: whoever takes a page away after the lock is released finds nothing mapped, and
    /// does not fence.
    pub(crate) fn unmap(
        &self,
        mmu: &mut MmuWriteGuard<'_, Riscv>,
        mut gfns: GfnRange,
        may_yield: bool,
    ) {
        // The frames that have been unmapped and not been fenced yet.
        let mut gone: Option<GfnRange> = None;
        while let Some((entry, leaf)) = self.next_entry(&mut gfns, mmu) {
            if let Some(old) = leaf {
                // A leaf that is only partly in the range is removed as a whole. The rest of it
                // faults in again.
                entry.clear_leaf(old);
                let level = entry.level();
                let last = level.first(gfns.start.0 - 1);
                let start = gone.map_or(Gfn(last), |gone| gone.start);
                gone = Some(start..gfns.start);
            }
            if may_yield {
                mmu.yield_if_needed(|vm| {
                    if let Some(gone) = gone.take() {
                        vm.flush_remote_tlbs(&gone);
                    }
                });
            }
        }
        if let Some(gone) = gone {
            mmu.vm().flush_remote_tlbs(&gone);
        }
    }

    /// Returns whether a table of the lowest level translates `gfn`, whether `gfn` is mapped or
    /// not.
    pub(crate) fn has_page_table_below(&self, mmu: &MmuWriteGuard<'_, Riscv>, gfn: Gfn) -> bool {
        self.walk(gfn.gpa(), mmu).0.level() == Level::PAGE
    }

    /// Write-protects `gfns`. Returns whether any of them was writable.
    pub(crate) fn write_protect(&self, mmu: &MmuWriteGuard<'_, Riscv>, gfns: GfnRange) -> bool {
        self.update(mmu, gfns, |pte| {
            pte.is_writable().then(|| pte.write_protected())
        })
    }

    /// Clears the accessed bits of `gfns`. Returns whether one was set.
    pub(crate) fn age(&self, mmu: &MmuWriteGuard<'_, Riscv>, gfns: GfnRange) -> bool {
        self.update(mmu, gfns, |pte| pte.is_young().then(|| pte.aged()))
    }

    /// Returns whether any of `gfns` has been accessed since [`age`](Self::age).
    pub(crate) fn is_young(&self, mmu: &MmuWriteGuard<'_, Riscv>, mut gfns: GfnRange) -> bool {
        while let Some((_, leaf)) = self.next_entry(&mut gfns, mmu) {
            if leaf.is_some_and(Pte::is_young) {
                return true;
            }
        }
        false
    }

    /// Makes a page writable that has been write-protected for the dirty log. Returns `false` if
    /// there is no such page.
    pub(crate) fn make_page_writable(&self, mmu: &MmuReadGuard<'_, Riscv>, gfn: Gfn) -> bool {
        let (entry, _) = self.walk(gfn.gpa(), mmu);
        entry.level() == Level::PAGE && entry.update_leaf(Pte::made_writable)
    }

    /// Replaces each leaf of `gfns` by what `f` returns for it, if anything. Returns whether any
    /// was replaced.
    #[inline]
    fn update(
        &self,
        mmu: &MmuWriteGuard<'_, Riscv>,
        mut gfns: GfnRange,
        f: impl Fn(Pte) -> Option<Pte>,
    ) -> bool {
        let mut changed = false;
        while let Some((entry, _)) = self.next_entry(&mut gfns, mmu) {
            changed |= entry.update_leaf(&f);
        }
        changed
    }
}

/// Returns the leaf of `level` that maps the page of `mapping`.
#[inline]
fn leaf(mapping: &Mapping, level: Level) -> Pte {
    Pte::leaf(level.first(mapping.pfn.0), mapping.rights)
}

/// Replaces the leaf `old` by `wanted`, or by the union of both if they map the same frame.
#[inline]
fn merge(entry: &Entry<'_>, old: Pte, wanted: Pte, flush: Flush) -> Flush {
    if old.pfn() != wanted.pfn() {
        // The host has moved the page. Its notifier should have come first, but nothing here
        // depends on that.
        let _ = entry.replace_leaf(Some(old), wanted);
        return Flush::Remote;
    }
    // Keep what is allowed already: another vCPU may have faulted for more than this one.
    let new = old.union(wanted);
    if new != old {
        let _ = entry.replace_leaf(Some(old), new);
    }
    // Whether the entry changes or not, the hart has faulted on what it had cached.
    match flush {
        Flush::None => Flush::Local,
        other => other,
    }
}
