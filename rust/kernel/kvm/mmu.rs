// SPDX-License-Identifier: GPL-2.0

//! What page tables of a guest are made of: the lock over them, their pages, and the host's pages
//! that they map.

use super::{
    addr::{
        Gfn,
        GfnRange,
        Hva,
        Pfn, //
    },
    backend::Backend,
    hot,
    memslot::{
        ActiveMemslot,
        Memslot, //
    },
    vm::Vm, //
};
use crate::{
    alloc::AllocError,
    bindings,
    error::to_result,
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::atomic::Atomic,
    types::NotThreadSafe, //
};
use core::{
    marker::PhantomData,
    mem::ManuallyDrop,
    ops::{
        Deref,
        Range, //
    },
    ptr::NonNull, //
};

/// `kvm->mmu_lock` of one VM is held by this thread, for reading at least: page tables of that VM
/// keep their tables, and no page that the host is about to take away is mapped. A guard of the
/// lock dereferences to it.
///
/// Whoever holds the lock for reading shares it with others who do, so all of them change entries
/// by atomic exchange, and none of them takes a table out of the tree.
pub struct MmuLocked<'a, B: Backend> {
    vm: &'a Vm<B>,
    _not_send: NotThreadSafe,
}

/// The guard of `kvm->mmu_lock`, held for reading.
pub struct MmuReadGuard<'a, B: Backend>(MmuLocked<'a, B>);

/// The guard of `kvm->mmu_lock`, held for writing: nobody else looks at the page tables but the
/// harts.
pub struct MmuWriteGuard<'a, B: Backend> {
    locked: MmuLocked<'a, B>,
    /// Whether `drop` releases the lock, or the core, which has taken it.
    owned: bool,
}

/// A guard that can let others have the lock for a while.
///
/// A hook of [`MmuOps`](super::backend::MmuOps) that is called with a guard may only do so if it is
/// told that it may give up the lock.
pub trait MmuGuard<'a, B: Backend>: Deref<Target = MmuLocked<'a, B>> {
    /// Releases and takes the lock if others wait for it or for the CPU, after which the page
    /// tables may have changed. `before` runs before that, with the lock held.
    fn yield_if_needed(&mut self, before: impl FnOnce(&Vm<B>));

    /// Releases the lock while `f` runs, which may sleep. The page tables may have changed then.
    fn with_unlocked<R>(&mut self, f: impl FnOnce(&Vm<B>) -> R) -> R;
}

impl<'a, B: Backend> MmuLocked<'a, B> {
    /// Returns the VM.
    #[inline]
    pub fn vm(&self) -> &'a Vm<B> {
        self.vm
    }

    /// Returns whether what was looked up for `gfn` since `seq` may be stale.
    #[inline]
    pub fn must_retry(&self, seq: MmuSeq, gfn: Gfn) -> bool {
        // SAFETY: The VM is valid, and the lock is held.
        unsafe { bindings::mmu_invalidate_retry_gfn(self.vm.as_raw(), seq.0, gfn.0) != 0 }
    }

    #[inline]
    fn lock(&self) -> *mut bindings::rwlock_t {
        // SAFETY: The VM is valid.
        unsafe { &raw mut (*self.vm.as_raw()).mmu_lock }
    }
}

impl<'a, B: Backend> Deref for MmuReadGuard<'a, B> {
    type Target = MmuLocked<'a, B>;

    #[inline]
    fn deref(&self) -> &MmuLocked<'a, B> {
        &self.0
    }
}

impl<'a, B: Backend> Deref for MmuWriteGuard<'a, B> {
    type Target = MmuLocked<'a, B>;

    #[inline]
    fn deref(&self) -> &MmuLocked<'a, B> {
        &self.locked
    }
}

/// The VM's count of invalidations, read ahead of a fault.
#[derive(Clone, Copy)]
pub struct MmuSeq(usize);

impl MmuSeq {
    /// Reads the count. Whatever is looked up afterwards is stale once the count has changed.
    #[inline]
    pub fn read<B: Backend>(vm: &Vm<B>) -> Self {
        Self::of(vm.as_raw())
    }

    #[inline]
    fn of(kvm: *mut bindings::kvm) -> Self {
        // SAFETY: The callers have a reference to the VM.
        let seq = unsafe { (&raw const (*kvm).mmu_invalidate_seq).read_volatile() };
        // SAFETY: Always safe to call. Pairs with the `smp_wmb()` in `kvm_mmu_invalidate_end()`.
        unsafe { bindings::smp_rmb() };
        Self(seq)
    }
}

impl<'a, B: Backend> MmuReadGuard<'a, B> {
    #[inline]
    pub(super) fn new(vm: &'a Vm<B>) -> Self {
        // SAFETY: The VM is valid.
        unsafe { bindings::read_lock(&raw mut (*vm.as_raw()).mmu_lock) };
        Self(MmuLocked {
            vm,
            _not_send: NotThreadSafe,
        })
    }
}

impl<'a, B: Backend> MmuGuard<'a, B> for MmuReadGuard<'a, B> {
    #[inline]
    fn yield_if_needed(&mut self, before: impl FnOnce(&Vm<B>)) {
        // SAFETY: The lock is valid.
        if unsafe { bindings::kvm_rwlock_is_wanted(self.lock()) } {
            before(self.vm);
            // SAFETY: The lock is held for reading.
            unsafe { bindings::cond_resched_rwlock_read(self.lock()) };
        }
    }

    #[inline]
    fn with_unlocked<R>(&mut self, f: impl FnOnce(&Vm<B>) -> R) -> R {
        // SAFETY: The lock is held for reading, and taken again below.
        unsafe { bindings::read_unlock(self.lock()) };
        let r = f(self.vm);
        // SAFETY: The lock has just been released.
        unsafe { bindings::read_lock(self.lock()) };
        r
    }
}

impl<B: Backend> Drop for MmuReadGuard<'_, B> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: `new()` has taken the lock.
        unsafe { bindings::read_unlock(self.lock()) };
    }
}

impl<'a, B: Backend> MmuWriteGuard<'a, B> {
    #[inline]
    pub(super) fn new(vm: &'a Vm<B>) -> Self {
        // SAFETY: The VM is valid.
        unsafe { bindings::write_lock(&raw mut (*vm.as_raw()).mmu_lock) };
        // SAFETY: The lock has just been taken.
        let mut guard = unsafe { Self::assume(vm) };
        guard.owned = true;
        guard
    }

    /// Stands for the lock that the core holds around a call to the backend.
    ///
    /// # Safety
    ///
    /// The lock must be held for writing by this thread for `'a`.
    #[inline]
    pub(super) unsafe fn assume(vm: &'a Vm<B>) -> Self {
        Self {
            locked: MmuLocked {
                vm,
                _not_send: NotThreadSafe,
            },
            owned: false,
        }
    }
}

impl<'a, B: Backend> MmuGuard<'a, B> for MmuWriteGuard<'a, B> {
    #[inline]
    fn yield_if_needed(&mut self, before: impl FnOnce(&Vm<B>)) {
        // SAFETY: The lock is valid.
        if unsafe { bindings::kvm_rwlock_is_wanted(self.lock()) } {
            before(self.vm);
            // SAFETY: The lock is held for writing.
            unsafe { bindings::cond_resched_rwlock_write(self.lock()) };
        }
    }

    #[inline]
    fn with_unlocked<R>(&mut self, f: impl FnOnce(&Vm<B>) -> R) -> R {
        // SAFETY: The lock is held for writing, and taken again below.
        unsafe { bindings::write_unlock(self.lock()) };
        let r = f(self.vm);
        // SAFETY: The lock has just been released.
        unsafe { bindings::write_lock(self.lock()) };
        r
    }
}

impl<B: Backend> MmuLocked<'_, B> {
    /// Returns the number of frames, a power of two, of the largest block around `gfn` that the
    /// host maps by one leaf of its own page tables, and that lies in `slot` at the same offset in
    /// both address spaces.
    ///
    /// This holds for as long as the lock is held if the page at `gfn` is not
    /// [stale](Self::backing).
    #[inline(always)]
    pub fn block_size(&self, slot: &Memslot<'_>, gfn: Gfn) -> u64 {
        block_size(self.vm, slot, gfn)
    }

    /// Returns the host memory that `page` has been found in, with its neighbours in a block of at
    /// most `max` frames, for as long as the lock is held.
    ///
    /// Returns [`None`] if the page is stale: the host may have changed it since, or it is of
    /// another VM.
    #[inline(always)]
    pub fn backing(&self, page: &FaultedPage<'_>, max: u64) -> Option<Backing<'_, B>> {
        if page.slot.kvm() != self.vm.as_raw() || self.must_retry(page.seq, page.gfn) {
            return None;
        }
        let frames = if max > 1 {
            self.block_size(page.slot, page.gfn).min(max)
        } else {
            1
        };
        // INVARIANT: The page is not stale. The host maps it by a leaf of at least `frames` frames.
        Some(Backing {
            mmu: self,
            gfn: page.gfn,
            hva: page.slot.hva(page.gfn),
            pfn: page.pfn,
            frames,
            writable: page.writable,
            counted: !page.page.is_null(),
        })
    }

    /// Returns the host memory that the host's own page tables have for `gfn`, with its neighbours
    /// in a block of at most `max` frames, for as long as the lock is held.
    ///
    /// This is much cheaper than [`fault_in`](ActiveMemslot::fault_in), and changes nothing for the
    /// host: the page is one that counts as changed ("dirty") anyway if it may be written. Returns
    /// [`None`] for any other page, and if the host is about to change pages of the VM.
    ///
    /// The reference that a page table of the host has is enough: it goes by an invalidation, which
    /// waits for the lock.
    #[inline(always)]
    pub fn mapped(&self, slot: &ActiveMemslot<'_>, gfn: Gfn, max: u64) -> Option<Backing<'_, B>> {
        if !slot.gfns().contains(&gfn) || !self.is_in_host_table(slot) {
            return None;
        }
        let hva = slot.hva(gfn);
        let mut page = HostPage::NONE;
        // SAFETY: The slot was found by a vCPU that is loaded, so by a thread of the VM's process,
        // and the `mm` is in use. There is room for one page.
        let level = unsafe {
            bindings::kvm_host_pages((*self.vm.as_raw()).mm, hva.0, 1, page.as_mut_ptr())
        };
        let frames = block_of(level, slot, gfn).min(max);
        page.backing(self, slot, gfn, hva, frames)
    }

    /// Calls `f` for each of `gfns`, neighbours of `gfn` on one side of it, that
    /// [`mapped`](Self::mapped) would return a single frame for, if the host has also found it to
    /// be in use ("young"). Frames beyond the slot, or in another table of the host's than the
    /// nearest to `gfn`, are left out, and so are those beyond [`MAX_NEIGHBOURS`].
    #[inline]
    pub fn for_each_mapped(
        &self,
        slot: &ActiveMemslot<'_>,
        gfn: Gfn,
        gfns: GfnRange,
        mut f: impl FnMut(&Backing<'_, B>),
    ) {
        let (start, end) = (
            gfns.start.max(slot.gfns().start),
            gfns.end.min(slot.gfns().end),
        );
        if start >= end || !self.is_in_host_table(slot) {
            return;
        }
        // How far into its table of the host's a frame is.
        let index = |gfn: Gfn| (slot.hva(gfn).0 >> PAGE_SHIFT) % ENTRIES;
        let (start, left_in_table) = if gfn < start {
            (start, ENTRIES - index(start))
        } else {
            let last = Gfn(end.0 - 1);
            let first_in_table = Gfn(last.0.saturating_sub(index(last) as u64));
            (start.max(first_in_table), ENTRIES)
        };
        let count = ((end.0 - start.0) as usize)
            .min(left_in_table)
            .min(MAX_NEIGHBOURS);
        let hva = slot.hva(start);
        let mut pages = [HostPage::NONE; MAX_NEIGHBOURS];
        // SAFETY: As in `mapped()`. There is room for `count` pages, which are in one table.
        unsafe {
            bindings::kvm_host_pages(
                (*self.vm.as_raw()).mm,
                hva.0,
                count as c_uint,
                pages.as_mut_ptr().cast(),
            )
        };
        for (i, page) in pages.iter().take(count).enumerate() {
            let (gfn, hva) = (Gfn(start.0 + i as u64), Hva(hva.0 + i * PAGE_SIZE));
            if !page.is_young() {
                continue;
            }
            if let Some(backing) = page.backing(self, slot, gfn, hva, 1) {
                f(&backing);
            }
        }
    }

    /// Returns whether the host's page tables have the pages of the slot: it is of the VM, its
    /// memory is what user space has mapped, and no page of the VM is about to be changed by the
    /// host. Then that stays so for as long as the lock is held.
    #[inline(always)]
    fn is_in_host_table(&self, slot: &Memslot<'_>) -> bool {
        let kvm = self.vm.as_raw();
        // SAFETY: The VM is valid. With the lock held, nobody changes the count.
        let is_quiet = unsafe { (*kvm).mmu_invalidate_in_progress } == 0;
        slot.kvm() == kvm && !slot.has_guest_memfd() && is_quiet
    }
}

/// How many pages [`MmuLocked::for_each_mapped`] looks up at most.
pub const MAX_NEIGHBOURS: usize = 64;

/// A page as `kvm_host_pages()` finds it: a frame of host memory, and flags in the bits below it.
#[repr(transparent)]
#[derive(Clone, Copy)]
struct HostPage(u64);

impl HostPage {
    const NONE: Self = Self(0);
    /// The host may write the page. The flag below says that there is a page.
    const WRITABLE: u64 = 1 << 1;
    /// The host has found the page to be in use.
    const YOUNG: u64 = 1 << 2;

    #[inline]
    fn as_mut_ptr(&mut self) -> *mut u64 {
        &mut self.0
    }

    #[inline]
    fn is_young(self) -> bool {
        self.0 & Self::YOUNG != 0
    }

    /// Returns the page, which has been found at `hva` under the lock that `mmu` stands for, as
    /// that of `gfn` in `slot`.
    #[inline]
    fn backing<'m, B: Backend>(
        self,
        mmu: &'m MmuLocked<'_, B>,
        slot: &ActiveMemslot<'_>,
        gfn: Gfn,
        hva: Hva,
        frames: u64,
    ) -> Option<Backing<'m, B>> {
        // INVARIANT: The host has mapped the page, by a leaf of at least `frames` frames. Whoever
        // changes that begins by an invalidation, which takes the lock for writing; none had begun
        // when the page was looked up.
        (self.0 != 0).then_some(Backing {
            mmu,
            gfn,
            hva,
            pfn: Pfn(self.0 >> PAGE_SHIFT),
            frames,
            writable: self.0 & Self::WRITABLE != 0 && !slot.is_read_only(),
            counted: true,
        })
    }
}

impl<B: Backend> Drop for MmuWriteGuard<'_, B> {
    #[inline]
    fn drop(&mut self) {
        if self.owned {
            // SAFETY: `new()` has taken the lock.
            unsafe { bindings::write_unlock(self.lock()) };
        }
    }
}

/// Returns what [`MmuLocked::block_size`] does, if nothing has changed when the lock is taken.
#[inline(always)]
fn block_size<B: Backend>(vm: &Vm<B>, slot: &Memslot<'_>, gfn: Gfn) -> u64 {
    if block_of(2, slot, gfn) == 1 {
        return 1;
    }
    // SAFETY: The VM is valid, and holds a reference to its `mm`, so that the root of the page
    // tables stays. The helper disables interrupts while it walks the tables below: the kernel
    // frees one after a grace period of RCU, or, without memory for that, after an interrupt
    // on every CPU, and disabled interrupts hold up both.
    let level = unsafe { bindings::kvm_host_leaf_level((*vm.as_raw()).mm, slot.hva(gfn).0) };
    block_of(level, slot, gfn)
}

/// Returns the number of frames in the largest block around `gfn` that a leaf of the host's page
/// tables at `level` is large enough for, and that lies in `slot` at the same offset in both
/// address spaces.
#[inline(always)]
fn block_of(level: c_uint, slot: &Memslot<'_>, gfn: Gfn) -> u64 {
    const LEAF: u64 = ENTRIES as u64;

    // The pages of a `guest_memfd` need not be those of the host's page tables.
    if slot.has_guest_memfd() {
        return 1;
    }
    let gfns = slot.gfns();
    let host_page = slot.userspace_addr().0 as u64 >> PAGE_SHIFT;
    let fits = |frames: u64| {
        let first = gfn.0 & !(frames - 1);
        (gfns.start.0 ^ host_page) & (frames - 1) == 0
            && first >= gfns.start.0
            && first + frames <= gfns.end.0
    };
    if level == 0 || !fits(LEAF) {
        1
    } else if level == 1 || !fits(LEAF * LEAF) {
        LEAF
    } else {
        LEAF * LEAF
    }
}

/// Why a page of the host could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageFault {
    /// The memory is broken.
    HwPoison,
    /// A signal came in.
    Signal,
    /// Nothing is mapped there, or not with this access.
    NoAccess,
    /// The kernel has no memory left for it.
    NoMemory,
}

/// Host memory that backs guest frames, which may be mapped in the guest while the lock is held.
/// The MMU notifier takes the mapping away before the host takes the memory.
///
/// # Invariants
///
/// The page backs its frame of the VM, and so do its neighbours in the naturally aligned block of
/// `frames` frames, a power of two.
pub struct Backing<'m, B: Backend> {
    mmu: &'m MmuLocked<'m, B>,
    gfn: Gfn,
    hva: Hva,
    pfn: Pfn,
    frames: u64,
    writable: bool,
    counted: bool,
}

impl<'m, B: Backend> Backing<'m, B> {
    /// Returns the token of the lock.
    #[inline]
    pub fn mmu(&self) -> &'m MmuLocked<'m, B> {
        self.mmu
    }

    /// Returns the guest frame that has been looked up.
    #[inline]
    pub fn gfn(&self) -> Gfn {
        self.gfn
    }

    /// Returns the host frame behind it.
    #[inline]
    pub fn pfn(&self) -> Pfn {
        self.pfn
    }

    /// Returns the number of frames in the block.
    #[inline]
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Returns whether the host lets the frames be written.
    #[inline]
    pub fn writable(&self) -> bool {
        self.writable
    }

    /// Returns whether the host counts references to the frames: ordinary memory, which the kernel
    /// has mapped as well. If not, they are those of a device, say.
    #[inline(always)]
    pub fn is_counted(&self) -> bool {
        self.counted
    }

    /// Returns the leaf by which the host maps the page, in the format of the architecture. The
    /// driver of a device may have chosen a type of memory there.
    #[inline]
    pub fn host_leaf(&self) -> u64 {
        // SAFETY: As in `block_size()`. By the invariants, the host maps the page.
        unsafe { bindings::kvm_host_leaf((*self.mmu.vm.as_raw()).mm, self.hva.0) }
    }

    /// Returns the kernel's own mapping of the page, or [`None`] if the kernel need not have it
    /// mapped.
    #[inline]
    pub fn kernel_page(&self) -> Option<KernelBlock<'_>> {
        // INVARIANT: The host has the page mapped for as long as the lock is held, which is a
        // reference to it.
        self.counted.then(|| KernelBlock {
            start: hot::phys_to_virt(self.pfn.0 << PAGE_SHIFT) as usize,
            frames: 1,
            _page: PhantomData,
        })
    }
}

/// A page of the host's memory that backs a guest frame, with a reference to it if it has one.
pub struct FaultedPage<'s> {
    slot: &'s ActiveMemslot<'s>,
    gfn: Gfn,
    /// The count of invalidations from before the page was found.
    seq: MmuSeq,
    pfn: Pfn,
    page: *mut bindings::page,
    writable: bool,
}

impl<'s> FaultedPage<'s> {
    #[inline]
    pub(super) fn new(
        slot: &'s ActiveMemslot<'s>,
        gfn: Gfn,
        write: bool,
    ) -> Result<Self, PageFault> {
        if !slot.gfns().contains(&gfn) {
            return Err(PageFault::NoAccess);
        }
        let seq = MmuSeq::of(slot.kvm());
        if slot.has_guest_memfd() {
            return Self::from_guest_memfd(slot, gfn, seq);
        }
        let mut page = core::ptr::null_mut();
        let mut writable = false;
        // A signal ends a fault that waits for user space, as one of userfaultfd may for ever.
        let mut foll = bindings::FOLL_INTERRUPTIBLE;
        if write {
            foll |= bindings::FOLL_WRITE;
        }
        // SAFETY: The slot is valid and the pointers are to local variables.
        let pfn = unsafe {
            bindings::__kvm_faultin_pfn(slot.as_ptr(), gfn.0, foll, &mut writable, &mut page)
        };
        // The bits that tell an error from a frame number, see `is_error_noslot_pfn()`.
        const ERR_NOSLOT_MASK: u64 = 0xfff << 52;
        if pfn == bindings::KVM_PFN_ERR_HWPOISON {
            Err(PageFault::HwPoison)
        } else if pfn == bindings::KVM_PFN_ERR_SIGPENDING {
            Err(PageFault::Signal)
        } else if pfn & ERR_NOSLOT_MASK != 0 {
            Err(PageFault::NoAccess)
        } else {
            Ok(Self {
                slot,
                gfn,
                seq,
                pfn: Pfn(pfn),
                page,
                writable,
            })
        }
    }

    /// Returns the page of the slot's `guest_memfd`.
    #[cold]
    #[inline]
    fn from_guest_memfd(
        slot: &'s ActiveMemslot<'s>,
        gfn: Gfn,
        seq: MmuSeq,
    ) -> Result<Self, PageFault> {
        let page = ManuallyDrop::new(GuestMemfdPage::new(slot, gfn)?);
        Ok(Self {
            slot,
            gfn,
            seq,
            pfn: page.pfn,
            page: page.page.as_ptr(),
            writable: true,
        })
    }

    /// Returns whether the host lets the page be written.
    #[inline]
    pub fn writable(&self) -> bool {
        self.writable
    }

    /// Returns the kernel's own mapping of the block of host memory, of at most `max` frames, that
    /// the page lies in. If nothing changes, [`MmuLocked::backing`] finds the same block.
    ///
    /// Returns [`None`] for a page without a reference count, such as memory of a device: the
    /// kernel neither clears nor fills it, and need not have it mapped.
    #[inline]
    pub fn kernel_block<B: Backend>(&self, vm: &Vm<B>, max: u64) -> Option<KernelBlock<'_>> {
        if self.page.is_null() {
            return None;
        }
        // SAFETY: The page is valid, because the reference is ours.
        let folio = unsafe { bindings::kvm_pages_of_folio(self.page) } as u64;
        // A small folio is no block of the host's page tables, and need not be looked up there.
        let frames = if folio.min(max) < ENTRIES as u64 {
            1
        } else {
            block_size(vm, self.slot, self.gfn).min(1 << folio.min(max).ilog2())
        };
        let first = self.pfn.0 & !(frames - 1);
        let start = hot::phys_to_virt(first << PAGE_SHIFT) as usize;
        // INVARIANT: A folio is aligned to its size, so all frames are in the folio of the page,
        // which stays as long as there is a reference.
        Some(KernelBlock {
            start,
            frames,
            _page: PhantomData,
        })
    }

    /// Gives the page back after it has been mapped, or found to be mapped, in the guest.
    ///
    /// Panics if the lock is that of another VM.
    #[inline(always)]
    pub fn release_mapped<B: Backend>(self, mmu: &MmuLocked<'_, B>) {
        assert!(core::ptr::eq(self.slot.kvm(), mmu.vm.as_raw()));
        let this = ManuallyDrop::new(self);
        if this.page.is_null() {
            return;
        }
        // SAFETY: The reference is ours to give back. The lock of its VM is held, so that the MMU
        // notifier, and with it whoever writes back a page that is marked dirty, waits.
        unsafe {
            if this.writable {
                bindings::kvm_release_page_dirty(this.page);
            } else {
                bindings::kvm_release_page_clean(this.page);
            }
        }
    }
}

impl Drop for FaultedPage<'_> {
    /// Gives the page back unused.
    #[inline]
    fn drop(&mut self) {
        if !self.page.is_null() {
            // SAFETY: The reference is ours to give back.
            unsafe { bindings::kvm_put_page(self.page) };
        }
    }
}

/// A page of a `guest_memfd`, with a reference to it.
///
/// # Invariants
///
/// The reference is ours, `pfn` is the frame of `page`, and the kernel has it mapped.
pub(super) struct GuestMemfdPage {
    page: NonNull<bindings::page>,
    pfn: Pfn,
}

impl GuestMemfdPage {
    /// Returns the page at `gfn` of the slot, which has a `guest_memfd`. May sleep.
    // Inline, so that it is not compiled into the `kernel` crate, which must not call the KVM core.
    #[cold]
    #[inline]
    pub(super) fn new(slot: &ActiveMemslot<'_>, gfn: Gfn) -> Result<Self, PageFault> {
        if !slot.gfns().contains(&gfn) {
            return Err(PageFault::NoAccess);
        }
        let mut page = core::ptr::null_mut();
        let mut pfn = 0;
        let order = core::ptr::null_mut();
        // SAFETY: The slot is valid and holds the frame, and the core looks whether its file is
        // still there. The pointers are to local variables, but for the last, which may be null.
        let result = to_result(unsafe {
            bindings::kvm_gmem_get_pfn(slot.kvm(), slot.as_ptr(), gfn.0, &mut pfn, &mut page, order)
        });
        if let Err(e) = result {
            return Err(if e == ENOMEM {
                PageFault::NoMemory
            } else if e.to_errno() == -(bindings::EHWPOISON as c_int) {
                PageFault::HwPoison
            } else {
                PageFault::NoAccess
            });
        }
        let page = NonNull::new(page).ok_or(PageFault::NoAccess)?;
        // INVARIANT: The call has taken a reference, and returned page and frame together. The
        // memory is ordinary memory.
        Ok(Self {
            page,
            pfn: Pfn(pfn),
        })
    }

    /// Copies `data.len()` bytes from `offset` on, as far as they are in the page.
    ///
    /// # Errors
    ///
    /// [`EFAULT`] if they are not.
    pub(super) fn read(&self, offset: usize, data: &mut [u8]) -> Result {
        let from = self.address(offset, data.len())?;
        // SAFETY: By `address()`, that many bytes are in the page. `data` does not overlap them: it
        // is the kernel's own memory, and the page is a guest's. The guest may write the page
        // meanwhile, which the kernel's own function allows for.
        unsafe { bindings::memcpy(data.as_mut_ptr().cast(), from, data.len()) };
        Ok(())
    }

    /// Copies `data` to `offset`, if there is room for it in the page.
    ///
    /// # Errors
    ///
    /// [`EFAULT`] if there is not.
    pub(super) fn write(&self, offset: usize, data: &[u8]) -> Result {
        let to = self.address(offset, data.len())?;
        // SAFETY: As in `read()`.
        unsafe { bindings::memcpy(to, data.as_ptr().cast(), data.len()) };
        Ok(())
    }

    fn address(&self, offset: usize, len: usize) -> Result<*mut c_void> {
        if offset > PAGE_SIZE || len > PAGE_SIZE - offset {
            return Err(EFAULT);
        }
        Ok(hot::phys_to_virt((self.pfn.0 << PAGE_SHIFT) + offset as u64).cast())
    }
}

impl Drop for GuestMemfdPage {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: The reference is ours to give back.
        unsafe { bindings::kvm_put_page(self.page.as_ptr()) };
    }
}

/// Sends the current thread the signal for broken memory at `hva` of the VM's process, with the
/// extent of the damage: for hugetlbfs, that is the whole huge page. May sleep.
#[cold]
#[inline]
pub fn signal_hwpoison<B: Backend>(vm: &Vm<B>, hva: Hva) {
    let page_size = vm
        .with_mm(|mm| {
            let mmap = mm.mmap_read_lock();
            let vma = mmap.vma_lookup(hva.0)?.as_ptr();
            // SAFETY: The VMA is valid while `mmap` is locked, and so are its operations.
            unsafe {
                let ops = (*vma).vm_ops.as_ref()?;
                ops.pagesize.map(|page_size| page_size(vma))
            }
        })
        .flatten()
        .unwrap_or(PAGE_SIZE);
    // SAFETY: `current` is valid.
    unsafe {
        bindings::send_sig_mceerr(
            bindings::BUS_MCEERR_AR as c_int,
            hva.0 as *mut c_void,
            page_size.ilog2() as i16,
            bindings::get_current(),
        )
    };
}

/// A block of host memory in the kernel's own mapping.
///
/// # Invariants
///
/// The kernel has `frames` frames mapped from `start` on, and holds a reference to their folio
/// for `'p`.
pub struct KernelBlock<'p> {
    start: usize,
    frames: u64,
    _page: PhantomData<&'p ()>,
}

impl KernelBlock<'_> {
    /// Returns the number of frames, a power of two.
    #[inline]
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Calls `f` with the addresses of the block, part by part, and lets other threads run in
    /// between. May sleep.
    #[inline]
    pub fn for_each_part(&self, f: impl Fn(Range<usize>)) {
        let end = self.start + self.frames as usize * PAGE_SIZE;
        let mut start = self.start;
        while end - start > ENTRIES * PAGE_SIZE {
            f(start..start + ENTRIES * PAGE_SIZE);
            start += ENTRIES * PAGE_SIZE;
            // SAFETY: Always safe to call where sleeping is.
            unsafe { bindings::cond_resched() };
        }
        f(start..end);
    }
}

/// A stock of zeroed pages, filled where sleeping is allowed, to be taken under a lock.
pub struct MemoryCache(bindings::kvm_mmu_memory_cache);

// SAFETY: The cache owns its pages, and nothing in it depends on the thread.
unsafe impl Send for MemoryCache {}

impl MemoryCache {
    /// Returns an empty cache.
    pub fn new() -> Self {
        // SAFETY: All-zero is an empty cache.
        let mut cache: bindings::kvm_mmu_memory_cache = unsafe { core::mem::zeroed() };
        cache.gfp_zero = bindings::__GFP_ZERO;
        Self(cache)
    }

    /// Fills the cache up to at least `min` pages. May sleep.
    ///
    /// The VM is not used. It makes the function generic over the backend, so that it is not
    /// compiled into the `kernel` crate, which must not call the KVM core.
    #[inline]
    pub fn top_up<B: Backend>(&mut self, _: &Vm<B>, min: usize) -> Result {
        // SAFETY: The cache is valid.
        to_result(unsafe { bindings::kvm_mmu_topup_memory_cache(&mut self.0, min as c_int) })
    }

    /// Returns whether there is no page in the cache.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.nobjs == 0
    }

    /// Takes a page. Returns [`None`] if the cache is empty.
    #[inline]
    pub fn take<B: Backend>(&mut self, _: &MmuLocked<'_, B>) -> Option<PageTablePage<1>> {
        if self.is_empty() {
            return None;
        }
        // SAFETY: The cache is valid; the result is a zeroed page, or null.
        let page = unsafe { bindings::kvm_mmu_memory_cache_alloc(&mut self.0) };
        // SAFETY: The page is ours.
        NonNull::new(page).map(|page| unsafe { PageTablePage::new_accounted(page.cast()) })
    }
}

impl Drop for MemoryCache {
    /// Frees all pages.
    #[inline]
    fn drop(&mut self) {
        // SAFETY: The cache is valid.
        unsafe { bindings::kvm_mmu_free_memory_cache(&mut self.0) };
    }
}

impl Default for MemoryCache {
    fn default() -> Self {
        Self::new()
    }
}

/// Number of entries of a page table of one page.
pub const ENTRIES: usize = PAGE_SIZE / size_of::<u64>();

/// `PAGES` pages of memory, a power of two, contiguous and aligned to their size, that hold a page
/// table. Charged to the process, and counted as secondary page tables.
pub struct PageTablePage<const PAGES: usize>(NonNull<Atomic<u64>>);

// SAFETY: The memory is owned, and nothing in it depends on the thread.
unsafe impl<const PAGES: usize> Send for PageTablePage<PAGES> {}
// SAFETY: What can be reached by a shared reference is atomic.
unsafe impl<const PAGES: usize> Sync for PageTablePage<PAGES> {}

impl<const PAGES: usize> PageTablePage<PAGES> {
    const ORDER: u32 = PAGES.trailing_zeros();

    /// Allocates a page table without entries. May sleep.
    pub fn alloc() -> Result<Self, AllocError> {
        const { assert!(PAGES.is_power_of_two()) };
        let gfp = bindings::GFP_KERNEL_ACCOUNT | bindings::__GFP_ZERO;
        // SAFETY: Always safe to call.
        let addr = unsafe { bindings::get_free_pages_noprof(gfp, Self::ORDER) };
        let ptr = NonNull::new(addr as *mut Atomic<u64>).ok_or(AllocError)?;
        // SAFETY: The pages are ours.
        Ok(unsafe { Self::new_accounted(ptr) })
    }

    /// # Safety
    ///
    /// `ptr` must point to `PAGES` zeroed pages that nobody else owns.
    #[inline]
    unsafe fn new_accounted(ptr: NonNull<Atomic<u64>>) -> Self {
        // SAFETY: The address is of the first of `PAGES` pages that were allocated together.
        unsafe { bindings::kvm_account_pgtable_pages(ptr.as_ptr().cast(), PAGES as c_int) };
        Self(ptr)
    }

    /// Returns the entries.
    ///
    /// # Safety
    ///
    /// What is stored in an entry gives a guest access to memory once the page table is in use, so
    /// it must be memory that the guest may access for as long as the entry is there.
    #[inline]
    pub unsafe fn entries(&self) -> &[Atomic<u64>] {
        // SAFETY: `self` owns `PAGES` pages of entries, initialized to zero and atomic ever since.
        unsafe { core::slice::from_raw_parts(self.0.as_ptr(), PAGES * ENTRIES) }
    }

    /// Returns the host physical address.
    #[inline]
    pub fn phys(&self) -> u64 {
        // SAFETY: The memory is part of the linear mapping.
        unsafe { bindings::kvm_virt_to_phys(self.0.as_ptr().cast()) }
    }

    /// Gives up ownership for the physical address, which is to be stored in an entry.
    #[inline]
    pub fn into_phys(self) -> u64 {
        ManuallyDrop::new(self).phys()
    }

    /// Takes ownership back.
    ///
    /// # Safety
    ///
    /// `phys` must have been returned by [`into_phys`](Self::into_phys), whose ownership is taken
    /// over, and no hart may walk the page table any more.
    #[inline]
    pub unsafe fn from_phys(phys: u64) -> Self {
        // SAFETY: By the requirement, this is memory of the linear mapping, so not null.
        Self(unsafe { NonNull::new_unchecked(hot::phys_to_virt(phys).cast()) })
    }

    /// Borrows the entries of a page table whose ownership was given up.
    ///
    /// # Safety
    ///
    /// `phys` must have been returned by [`into_phys`](Self::into_phys), and ownership must not be
    /// taken back within `'a`. The rest is as for [`entries`](Self::entries).
    #[inline]
    pub unsafe fn entries_at<'a>(phys: u64) -> &'a [Atomic<u64>] {
        // SAFETY: By the requirement, `PAGES` pages of entries are there for `'a`.
        unsafe { core::slice::from_raw_parts(hot::phys_to_virt(phys).cast(), PAGES * ENTRIES) }
    }
}

impl<const PAGES: usize> Drop for PageTablePage<PAGES> {
    fn drop(&mut self) {
        // SAFETY: The pages are ours, were counted, and were allocated with this order.
        unsafe {
            bindings::kvm_account_pgtable_pages(self.0.as_ptr().cast(), -(PAGES as c_int));
            bindings::free_pages(self.0.as_ptr() as usize, Self::ORDER);
        }
    }
}
