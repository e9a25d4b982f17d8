// SPDX-License-Identifier: GPL-2.0

//! The G-stage page table of a VM: what its guest physical addresses are in the host's memory.

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
    kvm::{
        atomic::Once,
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

/// What a change to the page table wants of the TLBs.
#[must_use]
pub(crate) enum Flush {
    /// Nothing.
    None,
    /// The vCPU that faulted has cached what was not there, or not allowed, before.
    Local,
    /// All vCPUs have to forget what was there before.
    Remote,
}

/// A page to be mapped.
#[derive(Clone, Copy)]
pub(crate) struct Mapping {
    /// Where the guest sees it.
    pub(crate) gfn: Gfn,
    /// Where the host has it.
    pub(crate) pfn: Pfn,
    /// What the guest may do.
    pub(crate) rights: Rights,
    /// How large a leaf may be that maps it together with its neighbours: host memory and memslot
    /// are contiguous and aligned to that.
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

    /// Changes the translation scheme, of a VM that has neither vCPUs nor memory yet.
    pub(crate) fn set_mode(&self, mode: Mode) {
        self.mode.store(mode as u32, Relaxed);
    }

    /// Makes this hart translate the guest's physical addresses.
    #[inline]
    pub(crate) fn load_hgatp(&self, preempt: &PreemptOff, vmid: Vmid) {
        self.root.load_hgatp(preempt, self.mode(), vmid);
    }

    /// Returns the number of tables that a mapping may need, the root not counted.
    pub(crate) fn max_new_tables(&self) -> usize {
        self.mode().root_level().levels_below()
    }

    /// Returns the first frame behind those that the scheme translates.
    #[inline]
    pub(crate) fn end(&self) -> Gfn {
        Gfn(1 << (self.mode().gpa_bits() - PAGE_SHIFT))
    }

    /// Returns the lowest entry for `gpa`: a leaf, or an empty one.
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

    /// Returns the lowest entry for the first of `gfns`, as [`walk`](Self::walk) finds it, and takes
    /// from `gfns` what it translates. [`None`] if there are no more.
    ///
    /// Each entry is looked up anew, so the tree may change between two.
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
                // Smaller pages were mapped here: the host did not have the large one yet, or dirty
                // pages were logged.
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
                    // The leaf is larger than allowed now: dirty pages are logged one by one.
                    let page = cache.take(mmu).ok_or(ENOMEM)?;
                    let below = level.below().ok_or(EINVAL)?;
                    let split = entry.link(page, |i| Some(old.part(i, below)), mmu);
                    // Harts that have cached the large leaf would write without being noticed.
                    flush = Flush::Remote;
                    split.ok_or(EINVAL)?
                }
            };
        }
    }

    /// Takes away what maps `gfns`, and has all vCPUs forget it.
    ///
    /// May give up the lock in between if `may_yield`. What has been taken away is flushed before:
    /// who takes a page from the guest after that does not find it mapped, and so does not flush.
    pub(crate) fn unmap(
        &self,
        mmu: &mut MmuWriteGuard<'_, Riscv>,
        mut gfns: GfnRange,
        may_yield: bool,
    ) {
        // What has to be flushed still, if anything.
        let mut gone: Option<GfnRange> = None;
        while let Some((entry, leaf)) = self.next_entry(&mut gfns, mmu) {
            if let Some(old) = leaf {
                // A leaf that is mapped in part goes whole: the rest faults in again.
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

    /// Returns whether `gfn` is, or has been, mapped by a page of 4K.
    pub(crate) fn has_page_table_below(&self, mmu: &MmuWriteGuard<'_, Riscv>, gfn: Gfn) -> bool {
        self.walk(gfn.gpa(), mmu).0.level() == Level::PAGE
    }

    /// Takes the permission to write away from `gfns`. Returns whether there was any.
    pub(crate) fn write_protect(&self, mmu: &MmuWriteGuard<'_, Riscv>, gfns: GfnRange) -> bool {
        self.update(mmu, gfns, |pte| {
            pte.is_writable().then(|| pte.write_protected())
        })
    }

    /// Makes `gfns` as if they had not been accessed. Returns whether they had been.
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

    /// Gives the permission to write back to a page that has been write-protected to log that it is
    /// dirty. Returns `false` if there is no such page.
    pub(crate) fn make_page_writable(&self, mmu: &MmuReadGuard<'_, Riscv>, gfn: Gfn) -> bool {
        let (entry, _) = self.walk(gfn.gpa(), mmu);
        entry.level() == Level::PAGE && entry.update_leaf(Pte::made_writable)
    }

    /// Replaces leaves of `gfns` as `f` says. Returns whether any was replaced.
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

/// Puts `wanted` in the place of the leaf `old`.
#[inline]
fn merge(entry: &Entry<'_>, old: Pte, wanted: Pte, flush: Flush) -> Flush {
    if old.pfn() != wanted.pfn() {
        // The host has moved the page; its notifier should have come first, but nothing depends on
        // it.
        let _ = entry.replace_leaf(Some(old), wanted);
        return Flush::Remote;
    }
    // What is allowed already stays so: another vCPU may have faulted for more than this one.
    let new = old.union(wanted);
    if new != old {
        let _ = entry.replace_leaf(Some(old), new);
    }
    // With or without a change, the hart has faulted on what it had cached.
    match flush {
        Flush::None => Flush::Local,
        other => other,
    }
}
