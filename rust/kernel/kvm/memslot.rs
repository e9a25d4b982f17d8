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
        PageFault, //
    },
    vcpu::Vcpu,
    vm::Vm, //
};
use crate::{
    bindings,
    error::to_result,
    mm::{
        virt::VmaRef,
        MmWithUser, //
    },
    page::PAGE_SHIFT,
    prelude::*,
    types::NotThreadSafe, //
};
use core::{
    marker::PhantomData,
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
        // SAFETY: The vCPU is valid and in the section; `data` is as long as the call is told.
        to_result(unsafe {
            bindings::kvm_vcpu_read_guest(
                self.vcpu.as_raw(),
                gpa.0,
                data.as_mut_ptr().cast(),
                data.len(),
            )
        })
        .map_err(|_| EFAULT)
    }

    /// Writes to the guest's memory from `gpa` on, and marks it dirty. May sleep.
    ///
    /// # Errors
    ///
    /// [`EFAULT`] if not all of it can be written; then a part may have been.
    pub fn write_guest(&self, gpa: Gpa, data: &[u8]) -> Result {
        // SAFETY: As in `read_guest()`; the data is not written.
        to_result(unsafe {
            bindings::kvm_vcpu_write_guest(
                self.vcpu.as_raw(),
                gpa.0,
                data.as_ptr().cast(),
                data.len(),
            )
        })
        .map_err(|_| EFAULT)
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
