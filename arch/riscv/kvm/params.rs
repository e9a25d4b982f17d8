// SPDX-License-Identifier: GPL-2.0

//! Module parameters that user space can change while the module is loaded. They are variables of
//! C, in `params.c`.

#![allow(unsafe_code)]

use kernel::{
    bindings,
    kvm::MAX_NEIGHBOURS, //
};

/// Returns whether large pages are split when the dirty log starts, and not each when it is first
/// written.
pub(crate) fn eager_page_split() -> bool {
    // SAFETY: The variable stays as long as the module. User space changes it by a single store.
    unsafe { (&raw const bindings::kvm_riscv_eager_page_split).read_volatile() }
}

/// Returns how many neighbours of a page are mapped at most when a guest faults on it.
#[inline]
pub(crate) fn fault_around() -> usize {
    // SAFETY: As in `eager_page_split()`.
    let pages = unsafe { (&raw const bindings::kvm_riscv_fault_around).read_volatile() };
    (pages as usize).min(MAX_NEIGHBOURS)
}
