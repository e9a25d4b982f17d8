// SPDX-License-Identifier: GPL-2.0

//! The vCPUs of a VM, found by one load.

use super::{
    atomic::Once,
    backend::Backend,
    vcpu::Vcpu, //
};
use crate::sync::atomic::{
    Atomic,
    Release, //
};
use core::marker::PhantomData;

/// How many vCPUs a table holds, those with the lowest indices. The others take the core's way.
pub(super) const SIZE: usize = 64;

/// The vCPUs of a VM by their index, as far as they have been [noted](Self::note).
///
/// # Invariants
///
/// An entry is zero, or the address of a vCPU that lives as long as the VM that the table is part of.
pub struct VcpuTable<B: Backend> {
    vcpus: [Atomic<usize>; SIZE],
    _backend: PhantomData<fn() -> B>,
}

impl<B: Backend> VcpuTable<B> {
    /// Returns an empty table.
    pub fn new() -> Self {
        Self {
            vcpus: [const { Atomic::new(0) }; SIZE],
            _backend: PhantomData,
        }
    }

    /// Notes a vCPU that can be reached by others, in the table of its VM.
    pub(super) fn note(&self, vcpu: &Vcpu<B>) {
        if let Some(entry) = self.vcpus.get(vcpu.index() as usize) {
            // INVARIANT: vCPUs that can be reached go with the VM. Release: the vCPU is complete.
            entry.store(vcpu.as_raw() as usize, Release);
        }
    }

    /// Returns the vCPU with this index, if it has been noted.
    #[inline]
    pub(super) fn get(&self, index: usize) -> Option<&Vcpu<B>> {
        let vcpu = self.vcpus.get(index)?.read_once();
        // SAFETY: By the invariants. What is read of the vCPU depends on the address, so it is what
        // was written before that was noted.
        unsafe { Vcpu::from_raw_or_null(vcpu as *mut _) }
    }
}

impl<B: Backend> Default for VcpuTable<B> {
    fn default() -> Self {
        Self::new()
    }
}
