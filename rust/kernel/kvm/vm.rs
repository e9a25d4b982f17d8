// SPDX-License-Identifier: GPL-2.0

//! A virtual machine.

use super::{
    addr::GfnRange,
    backend::Backend,
    memslot::Memslot,
    mmu::{
        MmuReadGuard,
        MmuWriteGuard, //
    },
    request::Request,
    shims::VmState,
    vcpu::{
        Vcpu,
        VcpuId, //
    },
    vm_lock::VmLock, //
};
use crate::{
    access_once::{
        acquire_barrier,
        smp_mb, //
    },
    bindings,
    mm::{
        Mm,
        MmWithUser, //
    },
    prelude::*,
    types::Opaque, //
};
use core::marker::PhantomData;

/// A `struct kvm`, with the backend's state of it.
#[repr(transparent)]
pub struct Vm<B: Backend> {
    inner: Opaque<bindings::kvm>,
    _backend: PhantomData<B::Vm>,
}

// SAFETY: All that a `&Vm` gives is synchronized: by the core, or because `B::Vm` is `Sync`.
unsafe impl<B: Backend> Sync for Vm<B> {}

impl<B: Backend> Vm<B> {
    /// # Safety
    ///
    /// `ptr` must point to a VM of this backend, after `kvm_arch_init_vm()` and before the end of
    /// `kvm_arch_destroy_vm()`, for the whole of `'a`.
    #[inline]
    pub(super) unsafe fn from_raw<'a>(ptr: *mut bindings::kvm) -> &'a Self {
        // SAFETY: The layout is that of `struct kvm`; the rest is the requirement.
        unsafe { &*ptr.cast() }
    }

    /// Returns the pointer that the core knows the VM by.
    #[inline]
    pub fn as_raw(&self) -> *mut bindings::kvm {
        self.inner.get()
    }

    #[inline]
    pub(super) fn state(&self) -> &VmState<B> {
        // SAFETY: By the requirement of `from_raw()`, the pointer is that of the pinned state that
        // `kvm_arch_init_vm()` has made, which lives as long as the VM.
        unsafe { &*(*self.as_raw()).arch.backend.cast::<VmState<B>>() }
    }

    /// Returns the backend's state of the VM.
    #[inline]
    pub fn backend(&self) -> &B::Vm {
        &self.state().backend
    }

    /// Returns the number of vCPUs that can be reached.
    #[inline]
    pub fn online_vcpus(&self) -> usize {
        // SAFETY: The VM is valid; the counter is read as an atomic.
        let n = unsafe { (&raw const (*self.as_raw()).online_vcpus.counter).read_volatile() };
        n as usize
    }

    /// Returns the vCPU that was created as the `index`-th.
    #[inline]
    pub fn vcpu(&self, index: usize) -> Option<&Vcpu<B>> {
        self.state()
            .vcpus
            .get(index)
            .or_else(|| self.vcpu_of_core(index))
    }

    fn vcpu_of_core(&self, index: usize) -> Option<&Vcpu<B>> {
        let index = c_int::try_from(index).ok()?;
        // SAFETY: The VM is valid. A vCPU that is found there stays until the VM goes.
        unsafe { Vcpu::from_raw_or_null(bindings::kvm_get_vcpu(self.as_raw(), index)) }
    }

    /// Returns the vCPU that user space has given this identifier.
    #[inline]
    pub fn vcpu_by_id(&self, id: VcpuId) -> Option<&Vcpu<B>> {
        self.vcpu_in_table(id)
            .or_else(|| self.vcpu_by_id_of_core(id))
    }

    /// Returns the vCPU with this identifier if the table of the first vCPUs has it at that index,
    /// which takes one load. Otherwise there may be one, or none.
    #[inline]
    pub fn vcpu_in_table(&self, id: VcpuId) -> Option<&Vcpu<B>> {
        // User space usually creates them in the order of their identifiers, from 0.
        self.state()
            .vcpus
            .get_nospec(id.0 as usize)
            .filter(|vcpu| vcpu.id() == id)
    }

    fn vcpu_by_id_of_core(&self, id: VcpuId) -> Option<&Vcpu<B>> {
        let id = c_int::try_from(id.0).ok()?;
        // SAFETY: As in `vcpu()`.
        unsafe { Vcpu::from_raw_or_null(bindings::kvm_get_vcpu_by_id(self.as_raw(), id)) }
    }

    /// Returns all vCPUs that can be reached, in the order of their creation.
    #[inline]
    pub fn vcpus(&self) -> impl Iterator<Item = &Vcpu<B>> + Clone {
        (0..self.online_vcpus()).filter_map(|i| self.vcpu(i))
    }

    /// Returns whether the core has given the VM up: no vCPU of it may run any more.
    #[inline]
    pub fn is_dead(&self) -> bool {
        // SAFETY: The VM is valid; the flag is only ever set.
        unsafe { (&raw const (*self.as_raw()).vm_dead).read_volatile() }
    }

    /// Makes a request to all vCPUs, and interrupts those that are in the guest.
    #[inline]
    pub fn request_all(&self, request: Request) {
        // SAFETY: The VM is valid.
        unsafe { bindings::kvm_make_all_cpus_request(self.as_raw(), request.raw()) };
    }

    /// Makes a request to some vCPUs, and interrupts those that are in the guest, or read its
    /// memory. It is a request that leaves a vCPU that sleeps asleep.
    #[inline]
    pub fn request_some<'a>(
        &'a self,
        request: Request,
        vcpus: impl Iterator<Item = &'a Vcpu<B>> + Clone,
    ) {
        for vcpu in vcpus.clone() {
            vcpu.request(request);
        }
        if !Self::have_left_guest(vcpus.clone()) {
            self.interrupt_some(request, vcpus);
        }
    }

    /// Returns whether all of some vCPUs are outside of the guest, so that they see requests that
    /// were made before ahead of entering it, and whoever has made them need not wait.
    #[inline]
    pub fn have_left_guest<'a>(mut vcpus: impl Iterator<Item = &'a Vcpu<B>>) -> bool {
        // Orders the requests ahead of the reads of the modes.
        smp_mb();
        let have_left = !vcpus.any(Vcpu::is_in_guest_mode);
        // Pairs with the barrier ahead of the mode that a vCPU leaves the guest with: what the
        // caller does next, such as to free a page, comes after the guest's accesses.
        acquire_barrier();
        have_left
    }

    #[inline(never)]
    fn interrupt_some<'a>(&'a self, request: Request, vcpus: impl Iterator<Item = &'a Vcpu<B>>) {
        const BITS: usize = usize::BITS as usize;
        let mut mask = [0_usize; (bindings::KVM_MAX_VCPUS as usize).div_ceil(BITS)];
        for vcpu in vcpus {
            let index = vcpu.index() as usize;
            if let Some(word) = mask.get_mut(index / BITS) {
                *word |= 1 << (index % BITS);
            }
        }
        // SAFETY: The VM is valid, and the mask has a bit for each vCPU that there can be.
        unsafe {
            bindings::kvm_make_vcpus_request_mask(self.as_raw(), request.raw(), mask.as_mut_ptr())
        };
        // A compare-and-exchange that fails orders nothing, and that is how the core finds that a
        // vCPU has left the guest. So this is as in `have_left_guest()`.
        acquire_barrier();
    }

    /// Runs `f` with the address space that the VM's memory belongs to. Returns [`None`] if the
    /// process has ended.
    #[inline]
    pub(super) fn with_mm<R>(&self, f: impl FnOnce(&MmWithUser) -> R) -> Option<R> {
        // SAFETY: The VM is valid and holds a reference to its `mm`, which never changes.
        let mm = unsafe { Mm::from_raw((*self.as_raw()).mm) };
        mm.mmget_not_zero().map(|mm| f(&mm))
    }

    /// Takes the lock over the page tables, for reading.
    #[inline]
    pub fn mmu_read_lock(&self) -> MmuReadGuard<'_, B> {
        MmuReadGuard::new(self)
    }

    /// Takes the lock over the page tables, for writing.
    #[inline]
    pub fn mmu_write_lock(&self) -> MmuWriteGuard<'_, B> {
        MmuWriteGuard::new(self)
    }

    /// Makes all vCPUs fence what their harts have cached of a range of frames.
    #[inline]
    pub fn flush_remote_tlbs(&self, gfns: &GfnRange) {
        let pages = gfns.end.0.saturating_sub(gfns.start.0);
        // SAFETY: The VM is valid.
        unsafe { bindings::kvm_flush_remote_tlbs_range(self.as_raw(), gfns.start.0, pages) };
    }

    /// Records that the guest has written, or may now write, a frame of `slot`.
    #[inline(always)]
    pub fn mark_page_dirty(&self, slot: &Memslot<'_>, gfn: super::Gfn) {
        if slot.kvm() != self.as_raw() || !slot.gfns().contains(&gfn) {
            return;
        }
        // SAFETY: The VM and the slot are valid, and the frame is one of the slot's.
        unsafe { bindings::mark_page_dirty_in_slot(self.as_raw(), slot.as_ptr(), gfn.0) };
    }

    /// Returns whether the dirty bitmap starts with all bits set and user space clears it, so that
    /// the start of the log must not write-protect the slot.
    #[inline]
    pub fn dirty_log_starts_all_set(&self) -> bool {
        // SAFETY: The VM is valid.
        let protect = unsafe { (*self.as_raw()).manual_dirty_log_protect };
        protect & u64::from(bindings::KVM_DIRTY_LOG_INITIALLY_SET) != 0
    }

    /// Takes the lock over the VM: no vCPU and no device is created until it is dropped. May sleep.
    ///
    /// See [`VmLock`] for its place among locks.
    #[inline]
    pub fn lock(&self) -> VmLock<'_, B> {
        VmLock::new(self)
    }

    /// Runs `f` if the VM has neither vCPUs nor memory. It gets none while `f` runs.
    #[inline]
    pub fn if_unused<R>(&self, f: impl FnOnce(&UnusedVm<'_, B>) -> R) -> Option<R> {
        let kvm = self.as_raw();
        let lock = self.lock();
        // SAFETY: The VM is valid, and the locks are taken in the core's order.
        unsafe { bindings::mutex_lock(&raw mut (*kvm).slots_lock) };
        // SAFETY: The VM is valid, and the lock that protects what is read is held.
        let has_no_memory = unsafe { bindings::kvm_are_all_memslots_empty(kvm) };
        let r = (lock.created_vcpus() == 0 && has_no_memory).then(|| f(&UnusedVm { vm: self }));
        // SAFETY: The lock was taken above.
        unsafe { bindings::mutex_unlock(&raw mut (*kvm).slots_lock) };
        r
    }
}

/// A VM that has neither memory nor vCPUs, and gets none for `'a`. It never had a vCPU, because
/// those stay for as long as the VM.
pub struct UnusedVm<'a, B: Backend> {
    vm: &'a Vm<B>,
}

impl<'a, B: Backend> UnusedVm<'a, B> {
    /// Returns the VM.
    #[inline]
    pub fn vm(&self) -> &'a Vm<B> {
        self.vm
    }
}

/// Returns the number of CPUs that are online.
#[inline]
pub fn online_cpus() -> u32 {
    // SAFETY: Read as an atomic; the answer may be old when it is used.
    let n = unsafe { (&raw const bindings::__num_online_cpus.counter).read_volatile() };
    n as u32
}
