// SPDX-License-Identifier: GPL-2.0

//! Changes to the G-stage page table of a VM, which translates guest physical to host physical
//! addresses. The guard of the MMU lock says which VM that is.

use crate::{
    abi::pte::{
        Level,
        Pte,
        Rights, //
    },
    mmu::table::{
        replace_table,
        Entry,
        MapWalk,
        Node, //
    },
    Riscv, //
};
use kernel::{
    kvm::{
        FaultedPage,
        Gfn,
        GfnRange,
        MemoryCache,
        MmuLocked,
        MmuReadGuard,
        MmuWriteGuard, //
    },
    prelude::*, //
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

/// Returns the lowest entry that translates `gfn`, which is a leaf or empty.
#[inline]
fn walk(mmu: &impl MmuLocked<Riscv>, gfn: Gfn) -> (Entry<'_>, Option<Pte>) {
    let mut entry = Entry::root(mmu, gfn);
    loop {
        match entry.read() {
            Node::Table(below) => entry = below,
            Node::Leaf(pte) => return (entry, Some(pte)),
            Node::Empty => return (entry, None),
        }
    }
}

/// Returns the lowest entry for the first of `gfns`, as [`walk`] does, and removes the frames that
/// the entry translates from `gfns`. Returns [`None`] when `gfns` is empty.
///
/// Each call walks from the root, so the tree may change between two calls.
#[inline]
fn next_entry<'a>(
    mmu: &'a impl MmuLocked<Riscv>,
    gfns: &mut GfnRange,
) -> Option<(Entry<'a>, Option<Pte>)> {
    if gfns.start >= gfns.end.min(mmu.vm().backend().gstage.end()) {
        return None;
    }
    let (entry, leaf) = walk(mmu, gfns.start);
    let level = entry.level();
    gfns.start = Gfn(level.first(gfns.start.0) + level.pages());
    Some((entry, leaf))
}

/// Maps a page, by a leaf of at most `max_frames` frames, with `rights` or those that the host
/// grants.
///
/// `cache` holds [`max_new_tables`](crate::mmu::table::Tree::max_new_tables) pages.
///
/// # Errors
///
/// [`EAGAIN`] if the page is stale, so that the guest has to fault again. [`EFAULT`] if the
/// translation scheme does not reach the frame. [`ENOMEM`] if the cache is empty.
#[inline(always)]
pub(crate) fn map(
    mmu: &mut MmuWriteGuard<'_, Riscv>,
    cache: &mut MemoryCache,
    page: &FaultedPage<'_>,
    max_frames: u64,
    rights: Rights,
) -> Result<Flush> {
    let mut flush = Flush::None;
    {
        let backing = mmu.backing(page, max_frames).ok_or(EAGAIN)?;
        let mut walk = MapWalk::new(&backing).ok_or(EFAULT)?;
        loop {
            match walk.go_down() {
                // Smaller pages were mapped here, because the host had no large page then, or
                // because dirty pages were logged. The table goes, below.
                Node::Table(_) => break,
                Node::Empty if walk.fits() => {
                    walk.map(rights);
                    return Ok(flush);
                }
                Node::Empty => {
                    let page = cache.take(backing.mmu()).ok_or(ENOMEM)?;
                    walk.link(page).ok_or(EINVAL)?;
                }
                Node::Leaf(old) if walk.fits() => {
                    if !walk.remap(old, rights) {
                        // The host has moved the page. Its notifier should have come first, but
                        // nothing here depends on that.
                        return Ok(Flush::Remote);
                    }
                    // Whether the entry changes or not, the hart has faulted on what it had cached.
                    return Ok(match flush {
                        Flush::None => Flush::Local,
                        other => other,
                    });
                }
                Node::Leaf(_) => {
                    // The leaf is larger than allowed, because dirty pages are logged one by one
                    // now.
                    let page = cache.take(backing.mmu()).ok_or(ENOMEM)?;
                    walk.link(page).ok_or(EINVAL)?;
                    // A hart that has cached the large leaf would write without faulting.
                    flush = Flush::Remote;
                }
            }
        }
    }
    if replace_table(mmu, page, max_frames, rights) {
        Ok(flush)
    } else {
        Err(EAGAIN)
    }
}

/// Removes the leaves that map `gfns`, and makes all vCPUs fence them.
///
/// May release the lock in between if `may_yield`. The fence for what has been removed comes before
/// that: whoever takes a page away after the lock is released finds nothing mapped, and does not
/// fence.
pub(crate) fn unmap(mmu: &mut MmuWriteGuard<'_, Riscv>, mut gfns: GfnRange, may_yield: bool) {
    // The frames that have been unmapped and not been fenced yet.
    let mut gone: Option<GfnRange> = None;
    while let Some((entry, leaf)) = next_entry(mmu, &mut gfns) {
        if leaf.is_some() {
            // A leaf that is only partly in the range is removed as a whole. The rest of it faults
            // in again.
            entry.remove_leaf();
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

/// Returns whether a table of the lowest level translates `gfn`, whether `gfn` is mapped or not.
pub(crate) fn has_page_table_below(mmu: &MmuWriteGuard<'_, Riscv>, gfn: Gfn) -> bool {
    walk(mmu, gfn).0.level() == Level::PAGE
}

/// Write-protects `gfns`. Returns whether any of them was writable.
pub(crate) fn write_protect(mmu: &MmuWriteGuard<'_, Riscv>, gfns: GfnRange) -> bool {
    for_each(mmu, gfns, |entry| entry.write_protect())
}

/// Clears the accessed bits of `gfns`. Returns whether one was set.
pub(crate) fn age(mmu: &MmuWriteGuard<'_, Riscv>, gfns: GfnRange) -> bool {
    for_each(mmu, gfns, |entry| entry.age())
}

/// Returns whether any of `gfns` has been accessed since [`age`].
pub(crate) fn is_young(mmu: &MmuWriteGuard<'_, Riscv>, mut gfns: GfnRange) -> bool {
    while let Some((_, leaf)) = next_entry(mmu, &mut gfns) {
        if leaf.is_some_and(Pte::is_young) {
            return true;
        }
    }
    false
}

/// Makes a page writable that has been write-protected for the dirty log. Returns `false` if there
/// is no such page.
pub(crate) fn make_page_writable(mmu: &MmuReadGuard<'_, Riscv>, gfn: Gfn) -> bool {
    let (entry, _) = walk(mmu, gfn);
    entry.level() == Level::PAGE && entry.make_writable()
}

/// Returns the leaf that maps `gfn`.
pub(crate) fn leaf(mmu: &MmuReadGuard<'_, Riscv>, gfn: Gfn) -> Option<Pte> {
    walk(mmu, gfn).1
}

/// Lets the guest fetch from `gfn`, if a leaf still maps what `seen` maps.
pub(crate) fn make_executable(mmu: &MmuReadGuard<'_, Riscv>, gfn: Gfn, seen: Pte) -> bool {
    walk(mmu, gfn).0.make_executable(seen)
}

/// Calls `f` with the lowest entries for `gfns`. Returns whether it has returned `true` for any.
#[inline]
fn for_each(
    mmu: &MmuWriteGuard<'_, Riscv>,
    mut gfns: GfnRange,
    f: impl Fn(&Entry<'_>) -> bool,
) -> bool {
    let mut changed = false;
    while let Some((entry, _)) = next_entry(mmu, &mut gfns) {
        changed |= f(&entry);
    }
    changed
}
