// SPDX-License-Identifier: GPL-2.0

//! The vCPUs of a VM, found by one load.

use super::{
    backend::Backend,
    vcpu::Vcpu, //
};
use crate::{
    access_once::AccessOnce,
    sync::atomic::{
        Atomic,
        Release, //
    },
};
use core::marker::PhantomData;

/// How many vCPUs a table holds, those with the lowest indices. The others take the core's way.
const SIZE: usize = 64;

/// The vCPUs of a VM by their index, as far as they have been noted.
///
/// # Invariants
///
/// An entry is zero, or the address of a vCPU that lives until [`clear`](Self::clear) is called.
pub(super) struct VcpuTable<B: Backend> {
    vcpus: [Atomic<usize>; SIZE],
    _backend: PhantomData<fn() -> B>,
}

impl<B: Backend> VcpuTable<B> {
    /// Returns an empty table.
    pub(super) fn new() -> Self {
        Self {
            vcpus: [const { Atomic::new(0) }; SIZE],
            _backend: PhantomData,
        }
    }

    /// Notes a vCPU that can be reached by others, in the table of its VM.
    pub(super) fn note(&self, vcpu: &Vcpu<B>) {
        if let Some(entry) = self.vcpus.get(vcpu.index() as usize) {
            // INVARIANT: vCPUs that can be reached go when the VM does, which clears the table
            // first. Release: the vCPU is complete.
            entry.store(vcpu.as_raw() as usize, Release);
        }
    }

    /// Empties the table, before the vCPUs go.
    pub(super) fn clear(&self) {
        for entry in &self.vcpus {
            entry.write_once(0);
        }
    }

    /// Returns the vCPU with this index, which the guest has chosen, if it has been noted.
    ///
    /// The index stays in bounds even where the check is mispredicted (`array_index_nospec()`).
    #[inline]
    pub(super) fn get_nospec(&self, index: usize) -> Option<&Vcpu<B>> {
        if index >= SIZE {
            return None;
        }
        self.get(hidden(index) & (SIZE - 1))
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

const _: () = assert!(SIZE.is_power_of_two());

/// Returns `value`, about which the compiler then knows nothing: else it would leave out a mask
/// that a check makes redundant.
#[inline(always)]
fn hidden(mut value: usize) -> usize {
    // SAFETY: No instruction.
    unsafe {
        core::arch::asm!(
            "/* {0} */",
            inout(reg) value,
            options(pure, nomem, nostack, preserves_flags)
        )
    };
    value
}
