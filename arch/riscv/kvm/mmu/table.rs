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
        entry::{
            self,
            Updated,
            Word, //
        },
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
    access_once::AccessOnce,
    alloc::AllocError,
    bindings,
    interrupt::LocalInterruptDisabled,
    kvm::{
        Backing,
        FaultedPage,
        Gfn,
        GfnRange,
        LoadedVcpu,
        MemoryCache,
        MmuLocked,
        MmuWriteGuard,
        PageTablePage,
        PreemptOff,
        UnusedVm,
        Vm, //
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
/// are empty or leaves. Tables are added under the MMU lock, and removed under the lock held for
/// writing.
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
        unsafe { Chain(self.retired.head.read_once()).free() };
        let Some(below) = self.mode().root_level().below() else {
            return;
        };
        // SAFETY: Nothing is stored.
        for entry in unsafe { self.root.entries() } {
            // SAFETY: Nobody uses the tree any more, and this entry is freed with it.
            unsafe { free_below(Pte::from_raw(entry.read_once()), below) };
        }
    }
}

/// Tables that have been removed from the tree of a VM, and that a hart may still walk.
///
/// A vCPU that is outside of the guest executes the fence that it has been asked for before it uses
/// the guest's translation again. Until then, its hart may have the root in `hgatp`, and a pointer
/// to the table in its cache, and may walk the table speculatively, which even sets accessed bits
/// there. So all harts execute a fence before tables are freed ([`free_many_retired`]).
///
/// Only a holder of the MMU lock for writing changes this, or the owner of the tree.
///
/// # Invariants
///
/// `head` begins a [`Chain`] of `len` tables.
struct Retired {
    head: Atomic<u64>,
    len: Atomic<usize>,
}

/// A list of tables that are in no tree: the first entry of each has the physical address of the
/// next one, or 0. To a hart, that is an entry without a translation, because a table is aligned.
///
/// # Invariants
///
/// The list owns its tables. The entries of a table own nothing.
struct Chain(u64);

impl Retired {
    /// Fewer than this may wait.
    const MANY: usize = 32;

    fn new() -> Self {
        // INVARIANT: There are none.
        Self {
            head: Atomic::new(0),
            len: Atomic::new(0),
        }
    }

    /// Takes over the table that `pte` leads to, with all tables below it, if it leads to one.
    /// `level` is that of the table's entries.
    ///
    /// The recursion is at most four levels deep, as the tree is.
    ///
    /// # Safety
    ///
    /// The entry must have been removed from the tree of the VM whose lock is held.
    unsafe fn add(mmu: &mut MmuWriteGuard<'_, Riscv>, pte: Pte, level: Level) {
        if pte.is_empty() || pte.is_leaf() {
            return;
        }
        // SAFETY: By the invariants of `Tree`, the entry has owned the table; `self` does now. A
        // leaf is not stored.
        let entries = unsafe { TablePage::entries_at(pte.phys()) };
        if let Some(below) = level.below() {
            for entry in entries {
                // SAFETY: The whole table has been removed.
                unsafe { Self::add(mmu, Pte::from_raw(entry.read_once()), below) };
            }
        }
        let retired = &mmu.vm().backend().gstage.retired;
        // INVARIANT: The entries of the table own nothing any more.
        entries[0].write_once(retired.head.read_once());
        retired.head.write_once(pte.phys());
        retired.len.write_once(retired.len.read_once() + 1);
    }

    /// Takes the tables out.
    fn take(mmu: &mut MmuWriteGuard<'_, Riscv>) -> Chain {
        let retired = &mmu.vm().backend().gstage.retired;
        let chain = Chain(retired.head.read_once());
        // INVARIANT: `chain` has them.
        retired.head.write_once(0);
        retired.len.write_once(0);
        chain
    }
}

impl Chain {
    /// Frees the tables. May sleep.
    ///
    /// # Safety
    ///
    /// No hart may walk them any more.
    unsafe fn free(self) {
        let mut phys = self.0;
        while phys != 0 {
            // SAFETY: By the invariants, the list owns the table; the rest is the requirement.
            let table = unsafe { TablePage::from_phys(phys) };
            // SAFETY: Nothing is stored.
            phys = unsafe { table.entries() }[0].read_once();
            drop(table);
            // SAFETY: Called where sleeping is allowed.
            unsafe { bindings::cond_resched() };
        }
    }
}

/// Frees the tables that have been removed from the tree of a VM, if they are many, after all harts
/// have executed a fence. Takes the MMU lock for a moment, and may sleep.
pub(super) fn free_many_retired(vm: &Vm<Riscv>) {
    if vm.backend().gstage.retired.len.read_once() < Retired::MANY {
        return;
    }
    let chain = Retired::take(&mut vm.mmu_write_lock());
    if chain.0 != 0 {
        smp::on_each(|_| fence::hfence_gvma_all());
        // SAFETY: The tables were out of the tree before the fence, so no hart finds them.
        unsafe { chain.free() };
    }
}

/// Frees the table that an entry leads to, with all tables below it, and lets other threads run
/// after each 1G of them. `level` is that of the table's entries.
///
/// The recursion is at most four levels deep, as the tree is.
///
/// # Safety
///
/// The whole tree must be about to be freed, and no hart may walk the table any more.
unsafe fn free_below(pte: Pte, level: Level) {
    if pte.is_empty() || pte.is_leaf() {
        return;
    }
    // SAFETY: By the invariants of `Tree`, the entry owns the table; the rest is the requirement.
    let table = unsafe { TablePage::from_phys(pte.phys()) };
    // Most tables are of the lowest level, and lead to none.
    let Some(below) = level.below() else {
        return;
    };
    // SAFETY: Nothing is stored.
    for entry in unsafe { table.entries() } {
        // SAFETY: The table is about to be freed.
        unsafe { free_below(Pte::from_raw(entry.read_once()), below) };
    }
    // SAFETY: A tree is dropped where sleeping is allowed.
    unsafe { bindings::cond_resched() };
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

/// The contents of an entry, with a table as a whole.
enum Below<'a> {
    Empty,
    Leaf(Pte),
    Table(&'a [Atomic<u64>], Level),
}

impl<'a> Entry<'a> {
    /// Returns the entry of the root table for `gfn`, in the tree of the VM whose lock is held.
    #[inline]
    pub(crate) fn root(mmu: &'a MmuLocked<'_, Riscv>, gfn: Gfn) -> Self {
        let tree = &mmu.vm().backend().gstage;
        // SAFETY: An `Entry` keeps the invariants of `Tree`.
        let entries = unsafe { tree.root.entries() };
        Self::of_table(entries, tree.mode().root_level(), gfn)
    }

    /// Returns the lowest entry that translates `gfn`, which is a leaf or empty, and the table that
    /// it is in, if that is one of the lowest level.
    #[inline]
    pub(crate) fn lowest(mmu: &'a MmuLocked<'_, Riscv>, gfn: Gfn) -> (Self, Option<PageTable<'a>>) {
        let mut entry = Self::root(mmu, gfn);
        let mut table = None;
        while let Below::Table(entries, level) = entry.read_below() {
            entry = Self::of_table(entries, level, gfn);
            if level == Level::PAGE {
                let first = Gfn(Level::MEGAPAGE.first(gfn.0));
                table = Some(PageTable { entries, first });
            }
        }
        (entry, table)
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

    /// Returns the frames that the entry translates.
    #[inline]
    pub(crate) fn gfns(&self) -> GfnRange {
        let first = self.level.first(self.gfn.0);
        Gfn(first)..Gfn(first + self.level.pages())
    }

    /// Returns the leaf, if the entry is one.
    #[inline]
    pub(crate) fn leaf(&self) -> Option<Pte> {
        let pte = Pte::from_raw(self.pte.read_once());
        pte.is_leaf().then_some(pte)
    }

    /// Reads the entry.
    #[inline(always)]
    pub(crate) fn read(&self) -> Node<'a> {
        match self.read_below() {
            Below::Empty => Node::Empty,
            Below::Leaf(pte) => Node::Leaf(pte),
            Below::Table(entries, level) => Node::Table(Self::of_table(entries, level, self.gfn)),
        }
    }

    /// Reads the entry, as that of no frame in particular.
    #[inline(always)]
    fn read_below(&self) -> Below<'a> {
        let pte = Pte::from_raw(self.pte.read_once());
        match (pte.is_empty(), pte.is_leaf(), self.level.below()) {
            (true, _, _) => Below::Empty,
            (false, true, _) => Below::Leaf(pte),
            (false, false, Some(below)) => {
                // SAFETY: By the invariants of `Tree`, the entry owns this table. The table stays
                // for as long as the lock is held, which `'a` is part of. Whoever gets the entries
                // keeps the invariants.
                let entries = unsafe { TablePage::entries_at(pte.phys()) };
                Below::Table(entries, below)
            }
            // By the invariants, there is no such entry.
            (false, false, None) => Below::Empty,
        }
    }

    /// Removes the leaf. The caller fences what it has mapped.
    #[inline]
    pub(crate) fn remove_leaf(&self) -> Updated {
        entry::update(self.pte, |_| Some(Pte::EMPTY))
    }

    /// Makes the leaf read-only, if it is writable.
    #[inline]
    pub(crate) fn write_protect(&self) -> Updated {
        entry::update(self.pte, |pte| {
            pte.is_writable().then(|| pte.write_protected())
        })
    }

    /// Clears the accessed bit of the leaf, if it is set.
    #[inline]
    pub(crate) fn age(&self) -> Updated {
        entry::update(self.pte, |pte| pte.is_young().then(|| pte.aged()))
    }

    /// Sets `found` if the leaf has been accessed since [`age`](Self::age), and changes nothing.
    #[inline]
    pub(crate) fn look_for_young(&self, found: &Cell<bool>) -> Updated {
        entry::update(self.pte, |pte| {
            if pte.is_young() {
                found.set(true);
            }
            None
        })
    }

    /// Makes the leaf writable again. Returns [`None`] if there is none, or if the host does not
    /// let the page be written.
    #[inline]
    pub(crate) fn make_writable(&self) -> Option<Mapped> {
        self.add_rights(Pte::made_writable)
    }

    /// Lets the guest fetch instructions through the leaf. Returns [`None`] if it does not map what
    /// `seen` maps.
    #[inline]
    pub(crate) fn make_executable(&self, seen: Pte) -> Option<Mapped> {
        self.add_rights(|pte| (pte.pfn() == seen.pfn()).then(|| pte.made_executable()))
    }

    /// Replaces the leaf by what `f` returns for it, which has more rights. Returns whether that
    /// has changed it, or [`None`] if it is not replaced.
    #[inline]
    fn add_rights(&self, f: impl Fn(Pte) -> Option<Pte>) -> Option<Mapped> {
        let leaf = self.leaf()?;
        if f(leaf)? == leaf {
            return Some(Mapped::Same);
        }
        (entry::update(self.pte, f) == Updated::Changed).then_some(Mapped::Changed)
    }

    /// Replaces an empty entry, or a leaf by its parts, by a table that the entry then owns.
    ///
    /// If somebody else changes the entry meanwhile, this does nothing, and frees the page.
    #[inline]
    fn link(&self, page: TablePage) {
        let Some(below) = self.level.below() else {
            return;
        };
        let is_linked = entry::link(self.pte, Pte::table(page.phys()), |leaf| {
            // SAFETY: The parts map what the leaf maps.
            let entries = unsafe { page.entries() };
            for (i, entry) in entries.iter().enumerate() {
                entry.write_once(leaf.part(i, below).into_raw());
            }
        });
        if is_linked {
            // INVARIANT: The entry owns the table from now on.
            page.into_phys();
        }
    }
}

impl Word for Atomic<u64> {
    #[inline]
    fn read(&self) -> u64 {
        self.read_once()
    }

    #[inline]
    fn compare_exchange(&self, old: u64, new: u64) -> Result<(), u64> {
        // Release: the contents of a page or a table are visible before the entry that leads there.
        self.cmpxchg(old, new, Release).map(|_| ())
    }
}

/// What came of an attempt to [map](crate::mmu::gstage::map) a page.
#[must_use]
pub(crate) enum Mapped {
    /// It is mapped, where nothing was mapped before. No fence is needed.
    New,
    /// It is mapped. The hart that faulted has to fence it, because it may have cached the entry as
    /// it was before.
    Changed,
    /// It was mapped already, with these rights. The hart that faulted has cached something else.
    Same,
    /// It is mapped, where another frame was before. All harts have to fence that.
    Moved,
    /// It is not mapped: there is a table where a leaf would fit, which [`replace_table`] replaces.
    Table,
    /// It is not mapped, because the cache is empty.
    NoPage,
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

    /// Writes a leaf to an empty entry. Returns `false` if the entry is not empty any more, or if
    /// the leaf does not fit.
    #[inline(always)]
    pub(crate) fn map(&self, rights: Rights) -> bool {
        self.leaf(rights)
            .is_some_and(|leaf| entry::exchange(self.entry.pte, Pte::EMPTY, leaf))
    }

    /// Replaces the leaf `old` by one with `rights`, or by the union of both if they map the same
    /// memory. Returns [`None`] if the entry is not `old` any more, or if the leaf does not fit.
    #[inline]
    pub(crate) fn remap(&self, old: Pte, rights: Rights) -> Option<Mapped> {
        let leaf = self.leaf(rights)?;
        let (new, mapped) = if old.maps_same(leaf) {
            // Keep what is allowed already: another vCPU may have faulted for more than this one.
            (old.union(leaf), Mapped::Changed)
        } else {
            // The host has moved the page. Its notifier should have come first, but nothing here
            // depends on that.
            (leaf, Mapped::Moved)
        };
        if new == old {
            return Some(Mapped::Same);
        }
        entry::exchange(self.entry.pte, old, new).then_some(mapped)
    }

    /// Replaces an empty entry, or a leaf by its parts, by a table that the entry then owns, unless
    /// somebody else changes the entry meanwhile.
    #[inline]
    pub(crate) fn link(&self, page: TablePage) {
        self.entry.link(page);
    }
}

/// A table of the lowest level, whose entries are those of neighbours.
pub(crate) struct PageTable<'m> {
    entries: &'m [Atomic<u64>],
    first: Gfn,
}

impl<'m> PageTable<'m> {
    /// Returns the table that translates `gfn`, or [`None`] if there is none.
    #[inline]
    pub(crate) fn around(mmu: &'m MmuLocked<'_, Riscv>, gfn: Gfn) -> Option<Self> {
        Entry::lowest(mmu, gfn).1
    }

    /// Returns the first frame that the table translates.
    #[inline]
    pub(crate) fn first(&self) -> Gfn {
        self.first
    }

    /// Returns the entry for `gfn`, or [`None`] if another table translates that.
    #[inline]
    pub(crate) fn entry(&self, gfn: Gfn) -> Option<Entry<'m>> {
        (Level::MEGAPAGE.first(gfn.0) == self.first.0)
            .then(|| Entry::of_table(self.entries, Level::PAGE, gfn))
    }

    /// Returns whether the entry at `index`, below the number of entries, has a leaf.
    #[inline]
    pub(crate) fn is_mapped(&self, index: usize) -> bool {
        self.entries
            .get(index)
            .is_some_and(|pte| Pte::from_raw(pte.read_once()).is_leaf())
    }

    /// Maps a page, if this table translates it, and its entry is empty.
    #[inline]
    pub(crate) fn map(&self, backing: &Backing<'_, Riscv>, rights: Rights) {
        if let Some(entry) = self.entry(backing.gfn()) {
            let walk = MapWalk {
                entry,
                backing,
                max_level: Level::PAGE,
            };
            let _ = walk.map(rights);
        }
    }
}

/// The lowest entries that translate a range of frames, in order. They are leaves, or empty.
///
/// The first and the last may translate frames beyond the range. Others may change entries that
/// have not been reached.
pub(crate) struct Entries<'m> {
    mmu: &'m MmuLocked<'m, Riscv>,
    left: GfnRange,
    table: Option<PageTable<'m>>,
}

impl<'m> Entries<'m> {
    /// Returns the entries for `gfns`, as far as the scheme translates them.
    #[inline]
    pub(crate) fn of(mmu: &'m MmuLocked<'_, Riscv>, gfns: GfnRange) -> Self {
        let end = gfns.end.min(mmu.vm().backend().gstage.end());
        Self {
            mmu,
            left: gfns.start..end,
            table: None,
        }
    }

    /// Returns the table that the last entry was in, if it was one of the lowest level.
    #[inline]
    pub(crate) fn into_table(self) -> Option<PageTable<'m>> {
        self.table
    }

    /// Returns the first frame beyond those of the entries that have been returned.
    #[inline]
    pub(crate) fn reached(&self) -> Gfn {
        self.left.start
    }

    /// Does `update` to all of them, as [`entry::update_all`] does. Returns whether that has
    /// changed any.
    #[inline]
    pub(crate) fn update(&mut self, update: impl Fn(&Entry<'m>) -> Updated) -> bool {
        let frames = self.left.start.0..self.left.end.0;
        entry::update_all(
            frames,
            |frame| {
                let entry = self.at(Gfn(frame));
                (entry, self.reached().0)
            },
            update,
        )
    }

    /// Returns the lowest entry that translates `gfn`, and goes on behind it.
    #[inline]
    fn at(&mut self, gfn: Gfn) -> Entry<'m> {
        let (entry, reached) = match self.table.as_ref().and_then(|table| table.entry(gfn)) {
            Some(entry) => (entry, Gfn(gfn.0 + 1)),
            None => {
                let (entry, table) = Entry::lowest(self.mmu, gfn);
                self.table = table;
                (entry, entry.gfns().end)
            }
        };
        self.left.start = reached;
        entry
    }
}

impl<'m> Iterator for Entries<'m> {
    type Item = Entry<'m>;

    #[inline]
    fn next(&mut self) -> Option<Entry<'m>> {
        (self.left.start < self.left.end).then(|| self.at(self.left.start))
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
    let (old, level) = {
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
        let old = Pte::from_raw(walk.entry.pte.xchg(leaf.into_raw(), Release));
        (old, walk.entry.level)
    };
    remote_fence::fence_all(mmu.vm(), Fence::AllGpas);
    if let Some(below) = level.below() {
        // SAFETY: The entry has just been replaced.
        unsafe { Retired::add(mmu, old, below) };
    }
    true
}

/// Removes the tables without a translation that are there for `gfns`, as far as their entries are
/// at most of level `highest`, and [retires](Retired) them. Returns whether there were any: then
/// the caller makes all vCPUs fence all addresses before it releases the lock, as for
/// [`replace_table`].
pub(super) fn prune(mmu: &mut MmuWriteGuard<'_, Riscv>, gfns: &GfnRange, highest: Level) -> bool {
    let tree = &mmu.vm().backend().gstage;
    let level = tree.mode().root_level();
    // SAFETY: `prune_table()` stores no leaf.
    let root = unsafe { tree.root.entries() };
    let gfns = gfns.start..gfns.end.min(tree.end());
    prune_table(mmu, root, level, &gfns, highest)
}

/// Removes the tables without a translation below the entries for `gfns` of a table, whose entries
/// are of `level`. Returns whether there were any.
///
/// The recursion is at most four levels deep, as the tree is.
fn prune_table(
    mmu: &mut MmuWriteGuard<'_, Riscv>,
    entries: &[Atomic<u64>],
    level: Level,
    gfns: &GfnRange,
    highest: Level,
) -> bool {
    let Some(below) = level.below() else {
        return false;
    };
    let mut removed = false;
    let mut start = gfns.start;
    while start < gfns.end {
        let next = Gfn(level.first(start.0) + level.pages()).min(gfns.end);
        let entry = &entries[level.index(start.gpa().0, entries.len())];
        let pte = Pte::from_raw(entry.read_once());
        if !pte.is_empty() && !pte.is_leaf() {
            // SAFETY: By the invariants of `Tree`, the entry owns this table, and the lock keeps
            // it. No leaf is stored.
            let table = unsafe { TablePage::entries_at(pte.phys()) };
            removed |= prune_table(mmu, table, below, &(start..next), highest);
            let is_empty = |pte: &Atomic<u64>| Pte::from_raw(pte.read_once()).is_empty();
            if below <= highest && table.iter().all(is_empty) {
                entry.write_once(Pte::EMPTY.into_raw());
                // SAFETY: The entry has just been removed.
                unsafe { Retired::add(mmu, pte, below) };
                removed = true;
            }
        }
        start = next;
    }
    removed
}

/// What came of an attempt to [split] a leaf.
#[must_use]
pub(super) enum Split {
    /// A leaf has been replaced by its parts, or somebody else has changed it: look again.
    Done,
    /// There is no page for a table in the cache.
    NoPage,
    /// There is no leaf that could be split: an entry of this level is a page, or empty.
    Nothing(Level),
}

/// Replaces the leaf that maps `gfn` by a table of its parts, of the next smaller size, if the leaf
/// is larger than a page.
///
/// The translation stays the same, so a hart may go on with what it has cached of the leaf, until
/// the caller changes one of the parts, or wants each to be seen.
pub(super) fn split(mmu: &MmuLocked<'_, Riscv>, cache: &mut MemoryCache, gfn: Gfn) -> Split {
    let mut entry = Entry::root(mmu, gfn);
    loop {
        match entry.read() {
            Node::Table(below) => entry = below,
            Node::Leaf(_) if entry.level != Level::PAGE => break,
            Node::Leaf(_) | Node::Empty => return Split::Nothing(entry.level),
        }
    }
    match cache.take(mmu) {
        Some(page) => {
            entry.link(page);
            Split::Done
        }
        None => Split::NoPage,
    }
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
    mmu: &MmuLocked<'_, Riscv>,
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
            // The next round goes down to the table.
            Node::Empty => entry.link(cache.take(mmu).ok_or(ENOMEM)?),
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
