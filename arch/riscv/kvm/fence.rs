// SPDX-License-Identifier: GPL-2.0

//! Fence instructions of this hart.
//!
//! Fences only ever make the hart forget what it has cached, so all of them are safe.
//!
//! Encodings: privileged specification, "Hypervisor Memory-Management Fence Instructions" and
//! "Svinval". `HFENCE.VVMA` acts on the VMID that is in `hgatp`.

use core::arch::asm;

/// Forgets all G-stage translations, of all VMIDs.
#[inline]
pub(crate) fn hfence_gvma_all() {
    // SAFETY: A fence.
    unsafe { asm!(".insn r 0x73, 0, 0x31, x0, x0, x0", options(nostack)) };
}

/// Forgets all G-stage translations of `vmid`.
#[inline]
pub(crate) fn hfence_gvma_vmid(vmid: u64) {
    // SAFETY: A fence.
    unsafe { asm!(".insn r 0x73, 0, 0x31, x0, x0, {}", in(reg) vmid, options(nostack)) };
}

/// Forgets the G-stage translation of `gpa` by `vmid`.
#[inline]
pub(crate) fn hfence_gvma_vmid_gpa(vmid: u64, gpa: u64) {
    // The instruction takes the address shifted right by two bits.
    // SAFETY: A fence.
    unsafe {
        asm!(".insn r 0x73, 0, 0x31, x0, {}, {}", in(reg) gpa >> 2, in(reg) vmid, options(nostack))
    };
}

/// Forgets all VS-stage translations of the current VMID.
#[inline]
pub(crate) fn hfence_vvma_all() {
    // SAFETY: A fence.
    unsafe { asm!(".insn r 0x73, 0, 0x11, x0, x0, x0", options(nostack)) };
}

/// Forgets the VS-stage translations of `asid`.
#[inline]
pub(crate) fn hfence_vvma_asid(asid: u64) {
    // SAFETY: A fence.
    unsafe { asm!(".insn r 0x73, 0, 0x11, x0, x0, {}", in(reg) asid, options(nostack)) };
}

/// Forgets the VS-stage translation of `gva`.
#[inline]
pub(crate) fn hfence_vvma_gva(gva: u64) {
    // SAFETY: A fence.
    unsafe { asm!(".insn r 0x73, 0, 0x11, x0, {}, x0", in(reg) gva, options(nostack)) };
}

/// Forgets the VS-stage translation of `gva` by `asid`.
#[inline]
pub(crate) fn hfence_vvma_asid_gva(asid: u64, gva: u64) {
    // SAFETY: A fence.
    unsafe {
        asm!(".insn r 0x73, 0, 0x11, x0, {}, {}", in(reg) gva, in(reg) asid, options(nostack))
    };
}

/// Makes this hart fetch instructions that were written before.
#[inline]
pub(crate) fn fence_i() {
    // SAFETY: A fence.
    unsafe { asm!("fence.i", options(nostack)) };
}
