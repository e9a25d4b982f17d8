// SPDX-License-Identifier: GPL-2.0

//! The lock over a VM, and the mutexes of its vCPUs under it.

use super::{
    backend::{
        Backend,
        VcpuOps, //
    },
    vcpu::{
        LockedVcpu,
        Vcpu, //
    },
    vm::Vm, //
};
use crate::{
    bindings,
    prelude::*,
    types::NotThreadSafe, //
};
use core::{
    mem::ManuallyDrop,
    ops::Deref, //
};

/// This thread holds `kvm->lock`: no vCPU and no device is created as long as this exists.
///
/// The lock comes before `slots_lock` and `irq_lock` of the VM, and before the mutex of a vCPU. So
/// whoever has a [`LockedVcpu`] must not take it. The core holds it while it creates a device or a
/// vCPU: the functions that it calls for that must not take it, either.
pub struct VmLock<'a, B: Backend> {
    vm: &'a Vm<B>,
    _not_send: NotThreadSafe,
}

impl<'a, B: Backend> VmLock<'a, B> {
    /// Takes the lock. May sleep.
    #[inline]
    pub(super) fn new(vm: &'a Vm<B>) -> Self {
        // SAFETY: The VM is valid.
        unsafe { bindings::mutex_lock(&raw mut (*vm.as_raw()).lock) };
        Self {
            vm,
            _not_send: NotThreadSafe,
        }
    }

    /// Runs `f` with the token of a lock that is held already.
    ///
    /// # Safety
    ///
    /// This thread must hold the lock of `vm` and keep it until `f` has returned.
    #[inline]
    pub(super) unsafe fn assume<R>(vm: &'a Vm<B>, f: impl FnOnce(&Self) -> R) -> R {
        f(&ManuallyDrop::new(Self {
            vm,
            _not_send: NotThreadSafe,
        }))
    }

    /// Returns the VM without the token.
    #[inline]
    pub fn vm(&self) -> &'a Vm<B> {
        self.vm
    }

    /// Returns the number of vCPUs that there are, or are being created.
    #[inline]
    pub fn created_vcpus(&self) -> usize {
        // SAFETY: The VM is valid, and the lock that protects the field is held.
        unsafe { (*self.vm.as_raw()).created_vcpus as usize }
    }

    /// Returns whether a vCPU is being created, which no thread can reach yet.
    #[inline]
    pub fn vcpu_creation_in_progress(&self) -> bool {
        self.created_vcpus() != self.vm.online_vcpus()
    }

    /// Takes the mutexes of all vCPUs. Returns [`None`] if a thread has one of them, for example
    /// because it runs the vCPU, or if a vCPU is being created.
    #[inline]
    pub fn try_lock_all_vcpus(&self) -> Option<AllVcpus<'_, B>> {
        // The core warns of what user space can bring about.
        if self.vcpu_creation_in_progress() {
            return None;
        }
        // SAFETY: The VM is valid, and its lock is held.
        let r = unsafe { bindings::kvm_trylock_all_vcpus(self.vm.as_raw()) };
        if r != 0 {
            return None;
        }
        // INVARIANT: The mutexes have been taken.
        Some(AllVcpus { lock: self })
    }
}

impl<B: Backend> Deref for VmLock<'_, B> {
    type Target = Vm<B>;

    #[inline]
    fn deref(&self) -> &Vm<B> {
        self.vm
    }
}

impl<B: Backend> Drop for VmLock<'_, B> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: `new()` has taken the lock; `assume()` makes none that is dropped.
        unsafe { bindings::mutex_unlock(&raw mut (*self.vm.as_raw()).lock) };
    }
}

/// All vCPUs of a VM, with their mutexes held: no vCPU runs, and there will not be more of them.
///
/// # Invariants
///
/// This thread has taken the mutexes of all vCPUs by `kvm_trylock_all_vcpus()`.
pub struct AllVcpus<'a, B: Backend> {
    lock: &'a VmLock<'a, B>,
}

impl<B: VcpuOps> AllVcpus<'_, B> {
    /// Returns the vCPUs in the order of their creation.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = LockedVcpu<'_, B>> {
        self.lock.vm.vcpus().map(|vcpu| {
            // SAFETY: By the invariants, and because no vCPU is created while the VM is locked,
            // its mutex is held as long as `self` exists.
            unsafe { LockedVcpu::new(vcpu) }
        })
    }

    /// Returns the vCPU that was created as the `index`-th.
    #[inline]
    pub fn get(&self, index: usize) -> Option<LockedVcpu<'_, B>> {
        // SAFETY: As in `iter()`.
        self.lock
            .vm
            .vcpu(index)
            .map(|vcpu| unsafe { LockedVcpu::new(vcpu) })
    }
}

impl<B: Backend> Drop for AllVcpus<'_, B> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the invariants.
        unsafe { bindings::kvm_unlock_all_vcpus(self.lock.vm.as_raw()) };
    }
}

/// The mutex of a vCPU, which this thread has taken by [`Vcpu::lock_killable`].
///
/// # Invariants
///
/// This thread holds the mutex of `vcpu`, and releases it when this is dropped.
pub struct VcpuGuard<'a, B: VcpuOps> {
    vcpu: &'a Vcpu<B>,
    _not_send: NotThreadSafe,
}

impl<'a, B: VcpuOps> VcpuGuard<'a, B> {
    /// Takes the mutex. See [`Vcpu::lock_killable`].
    #[inline]
    pub(super) fn new(vcpu: &'a Vcpu<B>) -> Result<Self> {
        // SAFETY: The vCPU is valid.
        let r = unsafe { bindings::kvm_mutex_lock_killable(&raw mut (*vcpu.as_raw()).mutex) };
        if r != 0 {
            return Err(EINTR);
        }
        // INVARIANT: The mutex has been taken.
        Ok(Self {
            vcpu,
            _not_send: NotThreadSafe,
        })
    }

    /// Returns the token that the mutex is held, which the guard outlives. It is not what the guard
    /// dereferences to, because that would have to be a token for as long as the vCPU lives.
    #[inline]
    pub fn locked(&self) -> LockedVcpu<'_, B> {
        // SAFETY: By the invariants, the mutex is held for as long as `self` is borrowed.
        unsafe { LockedVcpu::new(self.vcpu) }
    }
}

impl<B: VcpuOps> Drop for VcpuGuard<'_, B> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the invariants.
        unsafe { bindings::mutex_unlock(&raw mut (*self.vcpu.as_raw()).mutex) };
    }
}
