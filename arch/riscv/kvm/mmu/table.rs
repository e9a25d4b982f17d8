// SPDX-License-Identifier: GPL-2.0

//! The memory of G-stage page tables: a tree of tables that owns its nodes.
//!
//! What safe code can do to the tree is what its invariants allow. A walk begins at a guard of the
//! MMU lock, and so is in the tree of the VM whose lock is held. An entry is read as an enum:
//! empty, a leaf, or the entry below. A leaf is made from host memory that backs the very frame, by
//! [`MapWalk`] alone; [`Entry`] can only remove one, or take rights away and give them back.

#![allow(unsafe_code)]

use crate::{
    abi::pte::{
        Fetch,
        Level,
        MemoryType,
        Mode,
        Pte,
        Rights,
        Write,
        PAGE_SHIFT,
        ROOT_PAGES, //
    },
    hart::{
        csr::Hgatp,
        features,
        fence,
        guest_csr::{
            self,
            Translating, //
        },
        guest_files::GuestFile,
        smp, //
    },
    mmu::{
        fence_queue::Fence,
        remote_fence,
        vmid::{
            self,
            Vmid, //
        },
    },
    Riscv, //
};
use core::cell::Cell;
use kernel::{
    access_once::{
        release_barrier,
        AccessOnce, //
    },
    alloc::AllocError,
    interrupt::LocalInterruptDisabled,
    kvm::{
        Backing,
        FaultedPage,
        Gfn,
        LoadedVcpu,
        MemoryCache,
        MmuLocked,
        MmuWriteGuard,
        PageTablePage,
        PreemptOff,
        UnusedVm, //
    },
    num::Bounded,
    prelude::*,
    sync::atomic::{
        ordering::{
            Relaxed,
            Release, //
        },
        Atomic,
        AtomicFlag, //
    },
};

/// A page table below the root.
pub(crate) type TablePage = PageTablePage<1>;

/// The tree of a VM, which owns all tables below its root.
///
/// # Invariants
///
/// In each table of the tree, an entry that is neither empty nor a leaf holds the address that
/// [`PageTablePage::into_phys`] has returned for a table which that entry owns. Entries at level 0
/// are empty or leaves. The shape of the tree changes only under the MMU lock, held for writing.
///
/// A leaf maps host memory that backs the frames of the entry, with at most the rights that the
/// host has granted; the MMU notifier removes it before the host takes the memory. Or it maps the
/// page of a guest interrupt file that a vCPU of the VM has, until the vCPU gives the file back.
///
/// The scheme changes only while the tree is empty and no vCPU uses it.
///
/// If a hart has the root in `hgatp`, `loaded` is set.
pub(crate) struct Tree {
    root: PageTablePage<ROOT_PAGES>,
    loaded: AtomicFlag,
    retired: Retired,
    /// A [`Mode`], by its index in [`Mode::ALL`].
    mode: Atomic<u32>,
}

impl Tree {
    /// Allocates an empty tree for a translation scheme. May sleep.
    pub(crate) fn new(mode: Mode) -> Result<Self, AllocError> {
        // INVARIANT: All entries are empty.
        Ok(Self {
            root: PageTablePage::alloc()?,
            loaded: AtomicFlag::new(false),
            retired: Retired::new(),
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

    /// Changes the translation scheme of a VM.
    pub(crate) fn set_mode(vm: &UnusedVm<'_, Riscv>, mode: Mode) {
        // INVARIANT: The VM has no vCPU, and never had one, because vCPUs stay. So nothing has been
        // mapped yet, and nobody uses the tree.
        vm.vm().backend().gstage.mode.write_once(mode as u32);
    }

    /// Returns the number of tables that one mapping may need besides the root.
    pub(crate) fn max_new_tables(&self) -> usize {
        self.mode().root_level().levels_below()
    }

    /// Returns the frame of the root.
    #[inline]
    fn root_ppn(&self) -> Bounded<u64, 44> {
        Bounded::from_expr((self.root.phys() >> PAGE_SHIFT) & ((1 << 44) - 1))
    }

    /// Returns the first frame beyond those that the scheme translates.
    #[inline]
    pub(crate) fn end(&self) -> Gfn {
        Gfn(1 << (self.mode().gpa_bits() - PAGE_SHIFT))
    }

    /// Writes the root of the vCPU's VM and its last VMID to `hgatp`. Returns the VMID.
    #[inline]
    fn load_hgatp(vcpu: &LoadedVcpu<'_, Riscv>, preempt: &PreemptOff) -> Vmid {
        let vm = vcpu.vm().backend();
        let tree = &vm.gstage;
        let vmid = vm.vmid.last(preempt);
        // INVARIANT: Set before the root is in `hgatp`. Most calls find it set, and leave the cache
        // line to other harts.
        if !tree.loaded.load(Relaxed) {
            tree.loaded.store(true, Relaxed);
        }
        let hgatp = Hgatp::from_raw(0)
            .with_mode(Bounded::from_expr(tree.mode().hgatp_mode() & 0xf))
            .with_vmid(Bounded::from_expr(vmid.raw() & 0x3fff))
            .with_ppn(tree.root_ppn());
        // SAFETY: By the invariants, the tree maps nothing but memory that the guest may access.
        // `drop()` takes it from the harts before it is freed.
        unsafe { guest_csr::write_hgatp(preempt, hgatp) };
        vmid
    }
}

/// The VMID in `hgatp` of the hart that a vCPU is loaded on.
///
/// # Invariants
///
/// If it is not [`Vmid::NONE`] while the vCPU is loaded and preemption is disabled, `hgatp` of this
/// hart holds the root of the VM and this VMID. [`forget`](Self::forget) comes with each load of
/// the vCPU but for one where nothing has written the hart's guest CSRs since it was put.
pub(crate) struct HgatpVmid(Cell<Vmid>);

impl HgatpVmid {
    /// Returns the state of a vCPU that has never run.
    pub(crate) fn new() -> Self {
        // INVARIANT: There is none.
        Self(Cell::new(Vmid::NONE))
    }

    /// Returns the VMID, or [`Vmid::NONE`] if the hart does not translate for the vCPU.
    #[inline]
    pub(crate) fn get(&self) -> Vmid {
        self.0.get()
    }

    /// Notes that `hgatp` may be that of another VM.
    #[inline]
    pub(crate) fn forget(&self) {
        // INVARIANT: There is none.
        self.0.set(Vmid::NONE);
    }

    /// Loads `hgatp` for the vCPU, whose state this is. Returns the VMID.
    #[inline]
    pub(super) fn load(&self, vcpu: &LoadedVcpu<'_, Riscv>, preempt: &PreemptOff) -> Vmid {
        let vmid = Tree::load_hgatp(vcpu, preempt);
        // INVARIANT: It has just been written.
        self.0.set(vmid);
        vmid
    }

    /// Returns the token for a hart that translates for the vCPU, whose state this is, by a VMID of
    /// this generation. Then `vsatp` is the guest's, too.
    #[inline(always)]
    pub(super) fn translating<'a>(
        &self,
        vcpu: &'a LoadedVcpu<'_, Riscv>,
        irq: &'a LocalInterruptDisabled,
    ) -> Option<Translating<'a>> {
        if vcpu.vm().backend().vmid.current() != Some(self.0.get()) {
            return None;
        }
        // SAFETY: By the invariants, because no VMID of a generation is `NONE`. The generation ends
        // by an interrupt, and with interrupts disabled, the vCPU stays loaded.
        Some(unsafe { Translating::assume(irq) })
    }
}

impl Drop for Tree {
    /// Frees the tree, after no hart has its root in `hgatp` any more: the register acts, by what a
    /// hart does speculatively, also while no guest runs.
    ///
    /// What harts have cached of the tree stays unused for as long as no other VM has the VMID, and
    /// is dropped before one gets it. Without VMIDs, all VMs have the same.
    fn drop(&mut self) {
        if self.loaded.load(Relaxed) {
            let root = self.root_ppn();
            smp::on_each(|irq| {
                // SAFETY: All vCPUs of the VM are gone.
                unsafe { guest_csr::forget_root(irq, root) };
                if !vmid::in_use() {
                    fence::hfence_gvma_all();
                }
            });
        }
        // SAFETY: No hart has the root any more.
        unsafe { self.retired.free() };
        // SAFETY: Nothing is stored.
        for entry in unsafe { self.root.entries() } {
            // SAFETY: Nobody uses the tree any more, and this entry is freed with it.
            unsafe { free_below(Pte::from_raw(entry.read_once())) };
        }
    }
}

/// Tables that have been removed from the tree of a VM, and that a hart may still walk.
///
/// A vCPU that is outside of the guest executes the fence that it has been asked for before it uses
/// the guest's translation again. Until then, its hart may have the root in `hgatp`, and a pointer
/// to the table in its cache, and may walk the table speculatively, which even sets accessed bits
/// there. So all harts execute a fence before tables are freed, for many tables at a time.
///
/// Only a holder of the MMU lock for writing uses this, or the owner of the tree.
///
/// # Invariants
///
/// The first `len` of the entries are those that led to the tables, and own them.
struct Retired {
    entries: [Atomic<u64>; Self::MAX],
    len: Atomic<usize>,
}

impl Retired {
    /// How many tables wait at most.
    const MAX: usize = 32;

    fn new() -> Self {
        Self {
            entries: [const { Atomic::new(0) }; Self::MAX],
            len: Atomic::new(0),
        }
    }

    /// Takes over what `pte` leads to, which has been removed from the tree of the VM. If that
    /// makes too many, all harts execute a fence, and what has been removed is freed.
    fn add(mmu: &mut MmuWriteGuard<'_, Riscv>, pte: Pte) {
        let retired = &mmu.vm().backend().gstage.retired;
        let len = retired.len.read_once();
        // In bounds: there are fewer than `MAX` after each call.
        retired.entries[len].write_once(pte.into_raw());
        retired.len.write_once(len + 1);
        if len + 1 == Self::MAX {
            smp::on_each(|_| fence::hfence_gvma_all());
            // SAFETY: The tables were out of the tree before the fence, so no hart finds them.
            unsafe { retired.free() };
        }
    }

    /// Frees the tables.
    ///
    /// # Safety
    ///
    /// No hart may walk them any more.
    unsafe fn free(&self) {
        for entry in self.entries.iter().take(self.len.read_once()) {
            // SAFETY: The entry has been removed from the tree; the rest is the requirement.
            unsafe { free_below(Pte::from_raw(entry.read_once())) };
        }
        // INVARIANT: What the entries led to is gone.
        self.len.write_once(0);
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
    // SAFETY: By the invariants of `Tree`, the entry owns the table; the rest is the requirement.
    let table = unsafe { TablePage::from_phys(pte.phys()) };
    // SAFETY: Nothing is stored.
    for entry in unsafe { table.entries() } {
        // SAFETY: The table is about to be freed.
        unsafe { free_below(Pte::from_raw(entry.read_once())) };
    }
}

/// An entry of a table, on the way to the translation of one frame. It is borrowed with the guard
/// of the lock that keeps the shape of the tree.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a> {
    pte: &'a Atomic<u64>,
    level: Level,
    gfn: Gfn,
}

/// The contents of an entry.
pub(crate) enum Node<'a> {
    /// No translation.
    Empty,
    /// A translation.
    Leaf(Pte),
    /// A table, of which this is the entry for the same frame.
    Table(Entry<'a>),
}

impl<'a> Entry<'a> {
    /// Returns the entry of the root table for `gfn`, in the tree of the VM whose lock is held.
    #[inline]
    pub(crate) fn root(mmu: &'a impl MmuLocked<Riscv>, gfn: Gfn) -> Self {
        let tree = &mmu.vm().backend().gstage;
        // SAFETY: An `Entry` keeps the invariants of `Tree`.
        let entries = unsafe { tree.root.entries() };
        Self::of_table(entries, tree.mode().root_level(), gfn)
    }

    #[inline]
    fn of_table(entries: &'a [Atomic<u64>], level: Level, gfn: Gfn) -> Self {
        let index = level.index(gfn.gpa().0, entries.len());
        Self {
            // In bounds: the index is below the number of entries, a power of two.
            pte: &entries[index],
            level,
            gfn,
        }
    }

    /// Returns the level of the entry.
    #[inline]
    pub(crate) fn level(&self) -> Level {
        self.level
    }

    /// Reads the entry.
    #[inline(always)]
    pub(crate) fn read(&self) -> Node<'a> {
        let pte = Pte::from_raw(self.pte.read_once());
        match (pte.is_empty(), pte.is_leaf(), self.level.below()) {
            (true, _, _) => Node::Empty,
            (false, true, _) => Node::Leaf(pte),
            (false, false, Some(below)) => {
                // SAFETY: By the invariants of `Tree`, the entry owns this table. The table stays
                // for as long as the lock is held, which `'a` is part of. An `Entry` keeps the
                // invariants.
                let entries = unsafe { TablePage::entries_at(pte.phys()) };
                Node::Table(Self::of_table(entries, below, self.gfn))
            }
            // By the invariants, there is no such entry.
            (false, false, None) => Node::Empty,
        }
    }

    /// Removes the leaf, if there is one. The caller fences what the leaf has mapped.
    #[inline]
    pub(crate) fn remove_leaf(&self) {
        if let Node::Leaf(_) = self.read() {
            self.pte.write_once(Pte::EMPTY.into_raw());
        }
    }

    /// Makes the leaf read-only. Returns whether it was writable.
    #[inline]
    pub(crate) fn write_protect(&self) -> bool {
        self.update_leaf(|pte| pte.is_writable().then(|| pte.write_protected()))
    }

    /// Makes the leaf writable again. Returns `false` if there is none, or if the host does not let
    /// the page be written.
    #[inline]
    pub(crate) fn make_writable(&self) -> bool {
        self.update_leaf(Pte::made_writable)
    }

    /// Lets the guest fetch instructions through the leaf, if it still maps what `seen` maps.
    #[inline]
    pub(crate) fn make_executable(&self, seen: Pte) -> bool {
        self.update_leaf(|pte| (pte.pfn() == seen.pfn()).then(|| pte.made_executable()))
    }

    /// Clears the accessed bit of the leaf. Returns whether it was set.
    #[inline]
    pub(crate) fn age(&self) -> bool {
        self.update_leaf(|pte| pte.is_young().then(|| pte.aged()))
    }

    /// Replaces the leaf by what `f` returns for it. Returns `false` if the entry is not a leaf, or
    /// if `f` returns [`None`].
    ///
    /// `f` is called again if the hart, or a holder of the lock for reading, sets a bit meanwhile.
    #[inline]
    fn update_leaf(&self, f: impl Fn(Pte) -> Option<Pte>) -> bool {
        let mut old = self.pte.read_once();
        loop {
            let leaf = Pte::from_raw(old);
            if !leaf.is_leaf() {
                return false;
            }
            let Some(new) = f(leaf) else {
                return false;
            };
            match self.pte.cmpxchg(old, new.into_raw(), Release) {
                Ok(_) => return true,
                Err(now) => old = now,
            }
        }
    }

    /// Replaces an empty entry, or a leaf by its parts, by a table that the entry then owns.
    /// Returns the entry of that table, or [`None`], having done nothing, if there is no level
    /// below.
    ///
    /// The lock of the tree must be held for writing, as it is where this is called.
    #[inline]
    fn link(&self, page: TablePage) -> Option<Entry<'a>> {
        let below = self.level.below()?;
        match self.read() {
            Node::Empty => {}
            Node::Leaf(old) => {
                // SAFETY: The parts map what the leaf has mapped.
                let entries = unsafe { page.entries() };
                for (i, entry) in entries.iter().enumerate() {
                    entry.write_once(old.part(i, below).into_raw());
                }
            }
            Node::Table(_) => return None,
        }
        let phys = page.into_phys();
        // The entries of the table are visible before the table. INVARIANT: The entry owns the
        // table from now on.
        release_barrier();
        self.pte.write_once(Pte::table(phys).into_raw());
        match self.read() {
            Node::Table(below) => Some(below),
            _ => None,
        }
    }
}

/// A walk to the entry that is to map a frame, which the host backs.
pub(crate) struct MapWalk<'m> {
    entry: Entry<'m>,
    backing: &'m Backing<'m, Riscv>,
    /// The level of the largest leaf that the block of host memory is large enough for.
    max_level: Level,
}

impl<'m> MapWalk<'m> {
    /// Begins at the root. Returns [`None`] if the scheme does not translate the frame.
    #[inline(always)]
    pub(crate) fn new(backing: &'m Backing<'m, Riscv>) -> Option<Self> {
        let (mmu, gfn) = (backing.mmu(), backing.gfn());
        (gfn < mmu.vm().backend().gstage.end()).then(|| Self {
            entry: Entry::root(mmu, gfn),
            backing,
            max_level: Level::of_block(backing.frames()),
        })
    }

    /// Goes down to the highest entry that is not a table, or where a leaf would fit, and reads it.
    #[inline]
    pub(crate) fn go_down(&mut self) -> Node<'m> {
        loop {
            match self.entry.read() {
                Node::Table(below) if !self.fits() => self.entry = below,
                node => return node,
            }
        }
    }

    /// Returns whether the block of host memory is large enough for a leaf of this level.
    #[inline]
    pub(crate) fn fits(&self) -> bool {
        self.entry.level <= self.max_level
    }

    /// Returns the leaf of this level, with no more rights than the host grants.
    #[inline(always)]
    fn leaf(&self, rights: Rights) -> Option<Pte> {
        if !self.fits() {
            return None;
        }
        let write = if self.backing.writable() {
            rights.write
        } else {
            Write::Denied
        };
        let leaf = Pte::leaf(
            self.entry.level.first(self.backing.pfn().0),
            Rights { write, ..rights },
        );
        Some(if self.backing.is_counted() {
            leaf
        } else {
            self.typed(leaf)
        })
    }

    /// Returns the leaf with the type of memory that the host's own mapping has: two mappings of a
    /// frame must not differ in it, and the driver of a device may have chosen one.
    #[cold]
    #[inline(never)]
    fn typed(&self, leaf: Pte) -> Pte {
        if features::has_memory_types() {
            leaf.with_memory_type(Pte::from_raw(self.backing.host_leaf()).memory_type())
        } else {
            leaf
        }
    }

    /// Writes a leaf to an empty entry. Returns `false` if the leaf does not fit.
    #[inline(always)]
    pub(crate) fn map(self, rights: Rights) -> bool {
        let (Some(leaf), Node::Empty) = (self.leaf(rights), self.entry.read()) else {
            return false;
        };
        // The contents of the page are visible before the leaf that maps it. While the lock is held
        // for writing, nobody else changes an empty entry.
        release_barrier();
        self.entry.pte.write_once(leaf.into_raw());
        true
    }

    /// Replaces the leaf `old` by one with `rights`, or by the union of both if they map the same
    /// memory. Returns whether they do.
    #[inline]
    pub(crate) fn remap(self, old: Pte, rights: Rights) -> bool {
        let Some(leaf) = self.leaf(rights) else {
            return false;
        };
        if !old.maps_same(leaf) {
            // The former frame must not stay, whatever bit of its entry a hart sets in between.
            self.entry.pte.xchg(leaf.into_raw(), Release);
            return false;
        }
        // Keep what is allowed already: another vCPU may have faulted for more than this one.
        let new = old.union(leaf);
        if new != old {
            // If a hart sets a bit in between, the guest faults once more.
            let _ = self
                .entry
                .pte
                .cmpxchg(old.into_raw(), new.into_raw(), Release);
        }
        true
    }

    /// Replaces an empty entry, or a leaf by its parts, by a table that the entry then owns, and
    /// goes down to it. Returns [`None`], having done nothing, if there is no level below.
    #[inline]
    pub(crate) fn link(&mut self, page: TablePage) -> Option<()> {
        self.entry = self.entry.link(page)?;
        Some(())
    }
}

/// Replaces the table at the level where `page` fits by one leaf, makes all vCPUs fence the table,
/// and [retires](Retired) it. Returns `false`, having done nothing, if there is no such table, or
/// if the page is stale.
///
/// Entries that were read before cannot be used after, because they borrow the guard.
///
/// The lock is held throughout: if it were released in between, somebody could unmap a page that
/// the old table still maps, see the new leaf, and fence only its addresses, which does not drop
/// cached pointers to the old table.
#[cold]
pub(crate) fn replace_table(
    mmu: &mut MmuWriteGuard<'_, Riscv>,
    page: &FaultedPage<'_>,
    max_frames: u64,
    rights: Rights,
) -> bool {
    let old = {
        let Some(backing) = mmu.backing(page, max_frames) else {
            return false;
        };
        let Some(mut walk) = MapWalk::new(&backing) else {
            return false;
        };
        let (Node::Table(_), Some(leaf)) = (walk.go_down(), walk.leaf(rights)) else {
            return false;
        };
        // Release: the contents of the page are visible before the leaf that maps it. Nobody else
        // changes an entry that leads to a table while the lock is held for writing.
        Pte::from_raw(walk.entry.pte.xchg(leaf.into_raw(), Release))
    };
    remote_fence::fence_all(mmu.vm(), Fence::AllGpas);
    Retired::add(mmu, old);
    true
}

/// Maps the page of a guest interrupt file at `gfn`, in place of another such page.
///
/// The caller fences what was mapped there. `cache` holds
/// [`max_new_tables`](Tree::max_new_tables) pages.
///
/// # Errors
///
/// [`EFAULT`] if the translation scheme does not reach the frame, [`EEXIST`] if it is in a large
/// page of memory, [`ENOMEM`] if the cache is empty.
pub(super) fn map_guest_file(
    mmu: &mut MmuWriteGuard<'_, Riscv>,
    cache: &mut MemoryCache,
    gfn: Gfn,
    file: &GuestFile,
) -> Result {
    if gfn >= mmu.vm().backend().gstage.end() {
        return Err(EFAULT);
    }
    let mut entry = Entry::root(mmu, gfn);
    loop {
        match entry.read() {
            Node::Table(below) => entry = below,
            _ if entry.level == Level::PAGE => break,
            Node::Leaf(_) => return Err(EEXIST),
            Node::Empty => {
                let page = cache.take(mmu).ok_or(ENOMEM)?;
                entry = entry.link(page).ok_or(EFAULT)?;
            }
        }
    }
    let rights = Rights {
        write: Write::Allowed,
        fetch: Fetch::Traps,
    };
    let leaf = Pte::leaf(file.phys() >> PAGE_SHIFT, rights);
    let leaf = if features::has_memory_types() {
        leaf.with_memory_type(MemoryType::Device)
    } else {
        leaf
    };
    // INVARIANT: A vCPU of the VM has the file, and whoever gives it back unmaps it before.
    entry.pte.xchg(leaf.into_raw(), Release);
    Ok(())
}
