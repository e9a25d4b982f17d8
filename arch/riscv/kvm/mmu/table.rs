// SPDX-License-Identifier: GPL-2.0

//! The memory of G-stage page tables: a tree of tables that owns its nodes.
//!
//! An entry is read as an enum (nothing, a leaf, or a table below), so that the walks in
//! `gstage.rs` are safe code.

#![allow(unsafe_code)]

use crate::{
    abi::pte::{
        Level,
        Mode,
        Pte,
        PAGE_SHIFT,
        ROOT_PAGES, //
    },
    hart::{
        csr::Hgatp,
        guest_csr, //
    },
    mmu::{
        fence_queue::Fence,
        remote_fence,
        vmid::Vmid, //
    },
    Riscv, //
};
use core::sync::atomic::{
    AtomicU64,
    Ordering, //
};
use kernel::{
    alloc::AllocError,
    kvm::{
        MmuLocked,
        MmuWriteGuard,
        PageTablePage,
        PreemptOff, //
    },
    num::Bounded, //
};

/// A page table below the root.
pub(crate) type TablePage = PageTablePage<1>;

/// The root of a page table, which owns all tables below.
///
/// # Invariants
///
/// In each table of the tree, an entry that is neither empty nor a leaf holds the address that
/// [`PageTablePage::into_phys`] has returned for a table which that entry owns. Entries at level 0
/// are empty or leaves. The shape of the tree changes only under the MMU lock, held for writing.
pub(crate) struct Root {
    page: PageTablePage<ROOT_PAGES>,
}

impl Root {
    /// Allocates an empty tree. May sleep.
    pub(crate) fn alloc() -> Result<Self, AllocError> {
        // INVARIANT: All entries are empty.
        Ok(Self {
            page: PageTablePage::alloc()?,
        })
    }

    /// Returns the host physical address of the root.
    pub(crate) fn phys(&self) -> u64 {
        self.page.phys()
    }

    /// Writes the root and `vmid` to `hgatp`. `mode` is the scheme that the tree is used with.
    #[inline]
    pub(crate) fn load_hgatp(&self, preempt: &PreemptOff, mode: Mode, vmid: Vmid) {
        let hgatp = Hgatp::from_raw(0)
            .with_mode(Bounded::from_expr(mode.hgatp_mode() & 0xf))
            .with_vmid(Bounded::from_expr(vmid.raw() & 0x3fff))
            .with_ppn(Bounded::from_expr(
                (self.phys() >> PAGE_SHIFT) & ((1 << 44) - 1),
            ));
        // SAFETY: The tree maps nothing but memory of the guest, by the callers of `replace_leaf()`
        // and `link()`. It lives as long as the VM, and `hgatp` has no effect but while a guest
        // runs, ahead of which it is written.
        unsafe { guest_csr::write_hgatp(preempt, hgatp) };
    }

    /// Returns the root as a table, for as long as the lock is held. `mode` is the scheme that the
    /// tree is used with.
    #[inline]
    pub(crate) fn table<'a>(&'a self, mode: Mode, _: &'a impl MmuLocked) -> Table<'a> {
        Table {
            entries: self.page.entries(),
            level: mode.root_level(),
        }
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        for entry in self.page.entries() {
            // SAFETY: Nobody uses the tree any more, and this entry is freed with it.
            unsafe { free_below(Pte::from_raw(entry.load(Ordering::Relaxed))) };
        }
    }
}

/// Frees the table that an entry leads to, with all tables below it.
///
/// The recursion is at most four levels deep, as the tree is.
///
/// # Safety
///
/// The entry must have been removed from the tree, or the whole tree must be about to be freed, and
/// no hart may walk the table any more.
unsafe fn free_below(pte: Pte) {
    if pte.is_empty() || pte.is_leaf() {
        return;
    }
    // SAFETY: By the invariants of `Root`, the entry owns the table; the rest is the requirement.
    let table = unsafe { TablePage::from_phys(pte.phys()) };
    for entry in table.entries() {
        // SAFETY: The table is about to be freed.
        unsafe { free_below(Pte::from_raw(entry.load(Ordering::Relaxed))) };
    }
}

/// A table of a tree, borrowed with the tree and with the lock that keeps its shape.
#[derive(Clone, Copy)]
pub(crate) struct Table<'a> {
    entries: &'a [AtomicU64],
    level: Level,
}

/// The contents of an entry.
pub(crate) enum Node<'a> {
    /// No translation.
    Empty,
    /// A translation.
    Leaf(Pte),
    /// A table of the level below.
    Table(Table<'a>),
}

impl<'a> Table<'a> {
    /// Returns the entry that translates `gpa`.
    #[inline]
    pub(crate) fn entry(&self, gpa: u64) -> Entry<'a> {
        let index = self.level.index(gpa, self.entries.len());
        Entry {
            // In bounds: the index is below the number of entries, a power of two.
            pte: &self.entries[index],
            level: self.level,
        }
    }
}

/// An entry of a table.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a> {
    pte: &'a AtomicU64,
    level: Level,
}

impl<'a> Entry<'a> {
    /// Returns the level of the entry.
    #[inline]
    pub(crate) fn level(&self) -> Level {
        self.level
    }

    /// Reads the entry.
    #[inline]
    pub(crate) fn read(&self) -> Node<'a> {
        let pte = Pte::from_raw(self.pte.load(Ordering::Relaxed));
        match (pte.is_empty(), pte.is_leaf(), self.level.below()) {
            (true, _, _) => Node::Empty,
            (false, true, _) => Node::Leaf(pte),
            (false, false, Some(below)) => Node::Table(Table {
                // SAFETY: By the invariants of `Root`, the entry owns this table, and it stays for
                // as long as the lock is held, which `'a` is part of.
                entries: unsafe { TablePage::entries_at(pte.phys()) },
                level: below,
            }),
            // By the invariants, there is no such entry.
            (false, false, None) => Node::Empty,
        }
    }

    /// Replaces the leaf `old`, or an empty entry, by the leaf `new`. Returns `false` if the entry
    /// is not `old` any more, because a holder of the lock for reading has changed it.
    #[inline]
    pub(crate) fn replace_leaf(&self, old: Option<Pte>, new: Pte) -> bool {
        debug_assert!(new.is_leaf());
        let old = old.unwrap_or(Pte::EMPTY).into_raw();
        // Release: the contents of the page are visible before the leaf that maps it.
        self.pte
            .compare_exchange(old, new.into_raw(), Ordering::Release, Ordering::Relaxed)
            .is_ok()
    }

    /// Replaces the leaf by what `f` returns for it. Returns `false` if the entry is not a leaf, or
    /// if `f` returns [`None`].
    ///
    /// `f` is called again if the hart, or a holder of the lock for reading, sets a bit meanwhile.
    #[inline]
    pub(crate) fn update_leaf(&self, f: impl Fn(Pte) -> Option<Pte>) -> bool {
        self.pte
            .fetch_update(Ordering::Release, Ordering::Relaxed, |raw| {
                let leaf = Some(Pte::from_raw(raw)).filter(|pte| pte.is_leaf())?;
                f(leaf).map(Pte::into_raw)
            })
            .is_ok()
    }

    /// Removes the leaf `old`.
    #[inline]
    pub(crate) fn clear_leaf(&self, old: Pte) {
        debug_assert!(old.is_leaf());
        self.pte.store(Pte::EMPTY.into_raw(), Ordering::Relaxed);
    }

    /// Replaces a table by the leaf `new`, makes all vCPUs fence the table, and frees it.
    ///
    /// The lock must not be dropped in between: somebody could unmap a page that the old table
    /// still maps, see the new leaf, and fence only its addresses, which does not drop cached
    /// pointers to the old table.
    pub(crate) fn replace_table(&self, new: Pte, mmu: &MmuWriteGuard<'_, Riscv>) {
        debug_assert!(new.is_leaf());
        // Release: the contents of the page are visible before the leaf that maps it. Nobody else
        // changes an entry that leads to a table while the lock is held for writing.
        let old = Pte::from_raw(self.pte.swap(new.into_raw(), Ordering::Release));
        remote_fence::fence_all(mmu.vm(), Fence::AllGpas);
        // SAFETY: The entry has been removed from the tree of this VM. Every vCPU of the VM that is
        // in the guest, or reads its memory, has executed the fence.
        unsafe { free_below(old) };
    }

    /// Replaces a leaf or an empty entry by a table, which the entry then owns.
    ///
    /// `fill` returns the leaf for the entry of the new table with a number, or [`None`] to leave
    /// the entry empty.
    #[inline]
    pub(crate) fn link(
        &self,
        page: TablePage,
        fill: impl Fn(usize) -> Option<Pte>,
        _: &MmuWriteGuard<'_, Riscv>,
    ) -> Option<Table<'a>> {
        let below = self.level.below()?;
        for (i, entry) in page.entries().iter().enumerate() {
            if let Some(pte) = fill(i) {
                entry.store(pte.into_raw(), Ordering::Relaxed);
            }
        }
        let phys = page.into_phys();
        // Release: the entries of the table are visible before the table. INVARIANT: The entry owns
        // the table from now on.
        self.pte
            .store(Pte::table(phys).into_raw(), Ordering::Release);
        Some(Table {
            // SAFETY: The entry owns the table, which stays for as long as the lock is held, which
            // `'a` is part of.
            entries: unsafe { TablePage::entries_at(phys) },
            level: below,
        })
    }
}
