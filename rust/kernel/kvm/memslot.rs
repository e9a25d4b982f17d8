// SPDX-License-Identifier: GPL-2.0

//! Memslots: which guest frames are backed by which addresses of user space.

use super::{
    addr::{
        Gfn,
        GfnRange,
        Gpa,
        Hva, //
    },
    backend::Backend,
    hot,
    mmu::{
        FaultedPage,
        GuestMemfdPage,
        PageFault, //
    },
    vcpu::Vcpu,
    vm::Vm, //
};
use crate::{
    bindings,
    mm::{
        virt::VmaRef,
        MmWithUser, //
    },
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    types::NotThreadSafe,
    uaccess::{
        UserPtr,
        UserSlice, //
    },
};
use core::{
    marker::PhantomData,
    ops::Range,
    ptr::NonNull, //
};

/// A memslot, alive for `'a`.
pub struct Memslot<'a> {
    kvm: NonNull<bindings::kvm>,
    slot: NonNull<bindings::kvm_memory_slot>,
    _life: PhantomData<&'a ()>,
}

impl<'a> Memslot<'a> {
    /// Wraps a pointer, which may be null.
    ///
    /// # Safety
    ///
    /// The pointee must be a valid memslot of `vm`, and stay one, for `'a`.
    #[inline]
    pub(super) unsafe fn from_raw<B: Backend>(
        vm: &'a Vm<B>,
        slot: *const bindings::kvm_memory_slot,
    ) -> Option<Self> {
        let slot = NonNull::new(slot.cast_mut())?;
        Some(Self {
            kvm: NonNull::new(vm.as_raw())?,
            slot,
            _life: PhantomData,
        })
    }

    /// Returns the VM of the slot.
    #[inline]
    pub(super) fn kvm(&self) -> *mut bindings::kvm {
        self.kvm.as_ptr()
    }

    // The core links a slot that can be found with others, so that there is no reference to all of
    // it. The fields below do not change meanwhile.

    #[inline]
    pub(super) fn as_ptr(&self) -> *mut bindings::kvm_memory_slot {
        self.slot.as_ptr()
    }

    #[inline]
    fn base_gfn(&self) -> u64 {
        // SAFETY: The slot is valid for `'a`.
        unsafe { (*self.as_ptr()).base_gfn }
    }

    #[inline]
    fn npages(&self) -> usize {
        // SAFETY: The slot is valid for `'a`.
        unsafe { (*self.as_ptr()).npages }
    }

    #[inline]
    fn flags(&self) -> u32 {
        // SAFETY: The slot is valid for `'a`.
        unsafe { (*self.as_ptr()).flags }
    }

    /// Returns the guest frames of the slot.
    #[inline]
    pub fn gfns(&self) -> GfnRange {
        let base = self.base_gfn();
        Gfn(base)..Gfn(base.saturating_add(self.npages() as u64))
    }

    /// Returns the address in user space of the first byte of the slot.
    #[inline]
    pub fn userspace_addr(&self) -> Hva {
        // SAFETY: The slot is valid for `'a`.
        Hva(unsafe { (*self.as_ptr()).userspace_addr })
    }

    /// Returns whether user space handles the guest's writes, as accesses to a device.
    #[inline]
    pub fn is_read_only(&self) -> bool {
        self.flags() & bindings::KVM_MEM_READONLY != 0
    }

    /// Returns whether the slot is about to be deleted or moved (`KVM_MEMSLOT_INVALID`). Its memory
    /// must not be mapped any more.
    #[inline]
    pub fn is_invalid(&self) -> bool {
        self.flags() & bindings::KVM_MEMSLOT_INVALID != 0
    }

    /// Returns whether the guest has memory of a `guest_memfd` here. User space need not have
    /// mapped the file at the slot's address.
    #[inline]
    pub fn has_guest_memfd(&self) -> bool {
        self.flags() & bindings::KVM_MEM_GUEST_MEMFD != 0
    }

    /// Returns whether the guest has no other memory here than that of a `guest_memfd`, one that
    /// can be mapped.
    #[inline]
    pub fn is_guest_memfd_only(&self) -> bool {
        self.flags() & bindings::KVM_MEMSLOT_GMEM_ONLY != 0
    }

    /// Returns whether the pages that the guest writes are logged.
    #[inline]
    pub fn logs_dirty_pages(&self) -> bool {
        self.flags() & bindings::KVM_MEM_LOG_DIRTY_PAGES != 0
    }

    /// Returns the address in user space that backs `gfn`, which lies in the slot.
    #[inline]
    pub fn hva(&self, gfn: Gfn) -> Hva {
        let offset = gfn.0.wrapping_sub(self.base_gfn()) << PAGE_SHIFT;
        Hva(self.userspace_addr().0.wrapping_add(offset as usize))
    }

    /// Calls `f` with the flags (`VM_*`) of each VMA that backs a part of the slot, in order. May
    /// sleep.
    pub fn try_for_each_vma<B: Backend>(
        &self,
        vm: &Vm<B>,
        f: impl FnMut(bindings::vm_flags_t) -> Result,
    ) -> Result {
        vm.with_mm(|mm| self.try_for_each_vma_of(mm, f))
            .unwrap_or(Ok(()))
    }

    fn try_for_each_vma_of(
        &self,
        mm: &MmWithUser,
        mut f: impl FnMut(bindings::vm_flags_t) -> Result,
    ) -> Result {
        let _mmap = mm.mmap_read_lock();
        let end = self
            .userspace_addr()
            .0
            .wrapping_add(self.npages() << PAGE_SHIFT);
        let mut addr = self.userspace_addr().0;
        while addr < end {
            // SAFETY: `mm` is valid and locked for reading.
            let vma = unsafe { bindings::find_vma(mm.as_raw(), addr) };
            if vma.is_null() {
                break;
            }
            // SAFETY: The VMA is valid while `mm` is locked.
            let vma = unsafe { VmaRef::from_raw(vma) };
            if vma.start() >= end {
                break;
            }
            f(vma.flags())?;
            addr = vma.end();
        }
        Ok(())
    }
}

/// A memslot that was found in an SRCU section, which is still entered.
///
/// The MMU notifier finds what such a slot maps: the core unmaps a slot that goes only after the
/// sections in which it was found have ended. A slot that a hook gets may not be installed yet, or
/// may have been unmapped for the last time.
pub struct ActiveMemslot<'a>(Memslot<'a>);

impl ActiveMemslot<'_> {
    /// Returns the page that backs `gfn`, after bringing it in if necessary. May sleep.
    ///
    /// # Errors
    ///
    /// [`PageFault::NoAccess`] also if `gfn` does not lie in the slot.
    #[inline]
    pub fn fault_in(&self, gfn: Gfn, write: bool) -> Result<FaultedPage<'_>, PageFault> {
        FaultedPage::new(self, gfn, write)
    }

    /// Asks the host to bring in the page that backs `gfn`, for a store, if that is memory of no
    /// file. May sleep. Returns whether the host has brought it in.
    ///
    /// Unless the host takes the page away again,
    /// [`mapped`](super::mmu::MmuLocked::mapped) finds it. That is cheaper than
    /// [`fault_in`](Self::fault_in), which looks for the page before and after it is brought in,
    /// and takes a reference to it. It is left to that to bring in all other memory, and to say
    /// what is wrong.
    #[inline]
    #[must_use]
    pub fn touch(&self, gfn: Gfn) -> bool {
        if !self.gfns().contains(&gfn) || self.has_guest_memfd() {
            return false;
        }
        // SAFETY: The slot was found by a vCPU that is loaded, so by a thread of the VM's process,
        // and the `mm` is in use.
        let mm = unsafe { MmWithUser::from_raw((*self.kvm()).mm) };
        let Some(mmap) = mm.mmap_read_trylock() else {
            return false;
        };
        let hva = self.hva(gfn).0;
        let Some(vma) = mmap.vma_lookup(hva) else {
            return false;
        };
        // SAFETY: The VMA is valid while `mmap` is locked.
        if !unsafe { bindings::kvm_vma_is_plain(vma.as_ptr()) } {
            return false;
        }
        let how = bindings::fault_flag_FAULT_FLAG_WRITE
            | bindings::fault_flag_FAULT_FLAG_ALLOW_RETRY
            | bindings::fault_flag_FAULT_FLAG_RETRY_NOWAIT;
        // SAFETY: The VMA is valid, holds the address, and may be written. `mmap` is locked, and
        // with RETRY_NOWAIT it still is when the handler returns, whatever that returns. The fault
        // is not one of user mode, which has registers.
        let fault =
            unsafe { bindings::handle_mm_fault(vma.as_ptr(), hva, how, core::ptr::null_mut()) };
        // `VM_FAULT_ERROR`, which bindgen does not know, and a page that has to be waited for.
        let failed = bindings::vm_fault_reason_VM_FAULT_OOM
            | bindings::vm_fault_reason_VM_FAULT_SIGBUS
            | bindings::vm_fault_reason_VM_FAULT_SIGSEGV
            | bindings::vm_fault_reason_VM_FAULT_HWPOISON
            | bindings::vm_fault_reason_VM_FAULT_HWPOISON_LARGE
            | bindings::vm_fault_reason_VM_FAULT_FALLBACK
            | bindings::vm_fault_reason_VM_FAULT_RETRY;
        fault & failed == 0
    }

    /// Returns the page at `gfn` of the slot's `guest_memfd`.
    ///
    /// # Errors
    ///
    /// [`EFAULT`] if the file does not have it.
    // Inline for the same reason as `GuestMemfdPage::new()`.
    #[inline]
    fn guest_memfd_page(&self, gfn: Gfn) -> Result<GuestMemfdPage> {
        GuestMemfdPage::new(self, gfn).map_err(|_| EFAULT)
    }

    /// Returns `len` bytes of user space that back what is at `offset` in the page at `gfn`. The
    /// slot was found by a vCPU that is loaded, so the address space is that of this thread.
    fn user_slice(&self, gfn: Gfn, offset: usize, len: usize) -> UserSlice {
        let addr = self.hva(gfn).0.wrapping_add(offset);
        UserSlice::new(UserPtr::from_addr(addr), len)
    }
}

impl<'a> core::ops::Deref for ActiveMemslot<'a> {
    type Target = Memslot<'a>;

    #[inline]
    fn deref(&self) -> &Memslot<'a> {
        &self.0
    }
}

/// How `KVM_SET_USER_MEMORY_REGION` changes a memslot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryChange {
    /// A new slot.
    Create,
    /// The slot goes away.
    Delete,
    /// The slot moves to other guest frames.
    Move,
    /// Only the flags change.
    Flags,
}

impl MemoryChange {
    #[inline]
    pub(super) fn from_raw(change: bindings::kvm_mr_change) -> Self {
        match change {
            bindings::kvm_mr_change_KVM_MR_CREATE => Self::Create,
            bindings::kvm_mr_change_KVM_MR_DELETE => Self::Delete,
            bindings::kvm_mr_change_KVM_MR_MOVE => Self::Move,
            _ => Self::Flags,
        }
    }
}

/// The store that a device of the kernel has last handled for a vCPU, and its place on the bus.
///
/// Guests ring the same doorbell again and again: the device is then found without a search, which
/// costs more than to ring. Any other store, or value, searches: several devices may lie at one
/// address, and the first that takes it gets it.
#[derive(Clone, Copy)]
pub(super) struct LastStore {
    addr: Gpa,
    /// Eight bytes, of which `len` were stored.
    data: u64,
    len: c_int,
    place: c_int,
}

impl LastStore {
    pub(super) const NONE: Self = Self {
        addr: Gpa(0),
        data: 0,
        len: 0,
        place: -1,
    };
}

/// An SRCU read-side section of a VM, entered by one of its vCPUs.
///
/// For as long as it lasts, memslots and devices on the bus that are found stay valid.
pub struct SrcuGuard<'a, B: Backend> {
    vcpu: &'a Vcpu<B>,
    index: c_int,
    _not_send: NotThreadSafe,
}

impl<'a, B: Backend> SrcuGuard<'a, B> {
    /// Enters the section. The caller is the vCPU's owner.
    #[inline]
    pub(super) fn new(vcpu: &'a Vcpu<B>) -> Self {
        // SAFETY: The VM is valid for as long as its vCPU.
        let index = unsafe { hot::srcu_read_lock(&raw mut (*vcpu.vm().as_raw()).srcu) };
        Self {
            vcpu,
            index,
            _not_send: NotThreadSafe,
        }
    }

    /// Finds the memslot that `gfn` lies in.
    #[inline]
    pub fn memslot(&self, gfn: Gfn) -> Option<ActiveMemslot<'_>> {
        // SAFETY: The VM is valid, and the section makes the result stay valid until `self` is
        // used mutably or dropped.
        unsafe {
            let vm = self.vcpu.vm();
            Memslot::from_raw(vm, bindings::gfn_to_memslot(vm.as_raw(), gfn.0))
        }
        .map(ActiveMemslot)
    }

    /// Reads the guest's memory from `gpa` on. May sleep.
    ///
    /// # Errors
    ///
    /// [`EFAULT`] if not all of it can be read; then `data` may hold a part.
    pub fn read_guest(&self, gpa: Gpa, data: &mut [u8]) -> Result {
        for_each_page(gpa, data.len(), |gfn, offset, part| {
            let slot = self.memory(gfn)?;
            if slot.has_guest_memfd() {
                return slot.guest_memfd_page(gfn)?.read(offset, &mut data[part]);
            }
            slot.user_slice(gfn, offset, part.len())
                .reader()
                .read_slice(&mut data[part])
        })
    }

    /// Writes to the guest's memory from `gpa` on, and marks it dirty, unless it is of a
    /// `guest_memfd`, which has no log. May sleep.
    ///
    /// # Errors
    ///
    /// [`EFAULT`] if not all of it can be written; then a part may have been.
    pub fn write_guest(&self, gpa: Gpa, data: &[u8]) -> Result {
        for_each_page(gpa, data.len(), |gfn, offset, part| {
            let slot = self.memory(gfn)?;
            if slot.is_read_only() {
                return Err(EFAULT);
            }
            if slot.has_guest_memfd() {
                return slot.guest_memfd_page(gfn)?.write(offset, &data[part]);
            }
            slot.user_slice(gfn, offset, part.len())
                .writer()
                .write_slice(&data[part])?;
            self.vcpu.vm().mark_page_dirty(&slot, gfn);
            Ok(())
        })
    }

    /// Finds the memslot that `gfn` lies in, if it is not about to go.
    ///
    /// The core's own functions to copy guest memory know nothing of a `guest_memfd`: they copy
    /// what user space has mapped at the slot's address. It would not do to ask here which kind of
    /// slot it is, and to leave it to them to find the slot again: it may be another one by then.
    ///
    /// # Errors
    ///
    /// [`EFAULT`] if there is none.
    fn memory(&self, gfn: Gfn) -> Result<ActiveMemslot<'_>> {
        self.memslot(gfn)
            .filter(|slot| !slot.is_invalid())
            .ok_or(EFAULT)
    }

    /// Offers a load from `addr` to the devices of the kernel. Returns whether one has handled it.
    #[inline]
    pub fn mmio_read(&self, addr: Gpa, data: &mut [u8]) -> bool {
        let len = data.len() as c_int;
        // SAFETY: The vCPU is valid and in the section; `data` is as long as the call is told.
        let r = unsafe {
            bindings::kvm_io_bus_read(
                self.vcpu.as_raw(),
                bindings::kvm_bus_KVM_MMIO_BUS,
                addr.0,
                len,
                data.as_mut_ptr().cast(),
            )
        };
        r == 0
    }

    /// Offers a store to `addr`, of the first `len` bytes of `data`, to the devices of the kernel.
    /// Returns whether one has handled it.
    #[inline]
    pub fn mmio_write(&self, addr: Gpa, data: [u8; 8], len: usize) -> bool {
        let len = len.min(data.len()) as c_int;
        let whole = u64::from_ne_bytes(data);
        let last = &self.vcpu.state().last_store;
        let place = match last.get() {
            last if last.addr == addr && last.data == whole && last.len == len => last.place,
            _ => LastStore::NONE.place,
        };
        // SAFETY: As in `mmio_read()`; the data is not written. The place is checked.
        let found = unsafe {
            bindings::kvm_io_bus_write_cookie(
                self.vcpu.as_raw(),
                bindings::kvm_bus_KVM_MMIO_BUS,
                addr.0,
                len,
                data.as_ptr().cast(),
                place as c_long,
            )
        };
        if found >= 0 && found != place {
            last.set(LastStore {
                addr,
                data: whole,
                len,
                place: found,
            });
        }
        found >= 0
    }
}

impl<B: Backend> Drop for SrcuGuard<'_, B> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: `self` has entered the section, and was given the index.
        unsafe { hot::srcu_read_unlock(&raw mut (*self.vcpu.vm().as_raw()).srcu, self.index) };
    }
}

/// Calls `f` for each page that some of the `len` bytes from `gpa` on are in: with its frame, the
/// offset in the page, and which of the bytes they are.
fn for_each_page(
    gpa: Gpa,
    len: usize,
    mut f: impl FnMut(Gfn, usize, Range<usize>) -> Result,
) -> Result {
    let mut done = 0;
    while done < len {
        let gpa = Gpa(gpa.0.checked_add(done as u64).ok_or(EFAULT)?);
        let offset = gpa.0 as usize % PAGE_SIZE;
        let end = len.min(done + PAGE_SIZE - offset);
        f(gpa.gfn(), offset, done..end)?;
        done = end;
    }
    Ok(())
}
