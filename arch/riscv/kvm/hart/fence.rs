// SPDX-License-Identifier: GPL-2.0

//! Fence instructions of this hart.
//!
//! Fences only ever make the hart forget what it has cached, so all of them are safe.
//!
//! Encodings: privileged specification, "Hypervisor Memory-Management Fence Instructions" and
//! "Svinval". `HFENCE.VVMA` acts on the VMID that is in `hgatp`.

use crate::hart::features;
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
fn hfence_gvma_vmid_gpa(vmid: u64, gpa: u64) {
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
fn hfence_vvma_gva(gva: u64) {
    // SAFETY: A fence.
    unsafe { asm!(".insn r 0x73, 0, 0x11, x0, {}, x0", in(reg) gva, options(nostack)) };
}

/// Forgets the VS-stage translation of `gva` by `asid`.
#[inline]
fn hfence_vvma_asid_gva(asid: u64, gva: u64) {
    // SAFETY: A fence.
    unsafe {
        asm!(".insn r 0x73, 0, 0x11, x0, {}, {}", in(reg) gva, in(reg) asid, options(nostack))
    };
}

/// HINVAL.GVMA: [`hfence_gvma_vmid_gpa`] without its order.
#[inline]
fn hinval_gvma_vmid_gpa(vmid: u64, gpa: u64) {
    // SAFETY: A fence.
    unsafe {
        asm!(".insn r 0x73, 0, 0x33, x0, {}, {}", in(reg) gpa >> 2, in(reg) vmid, options(nostack))
    };
}

/// HINVAL.VVMA: [`hfence_vvma_gva`] without its order.
#[inline]
fn hinval_vvma_gva(gva: u64) {
    // SAFETY: A fence.
    unsafe { asm!(".insn r 0x73, 0, 0x13, x0, {}, x0", in(reg) gva, options(nostack)) };
}

/// HINVAL.VVMA: [`hfence_vvma_asid_gva`] without its order.
#[inline]
fn hinval_vvma_asid_gva(asid: u64, gva: u64) {
    // SAFETY: A fence.
    unsafe {
        asm!(".insn r 0x73, 0, 0x13, x0, {}, {}", in(reg) gva, in(reg) asid, options(nostack))
    };
}

/// Forgets the G-stage translations by `vmid` of the pages that begin at `gpas`.
#[inline]
pub(crate) fn hfence_gvma_vmid_gpas(vmid: u64, gpas: impl Iterator<Item = u64>) {
    fence_each(
        gpas,
        |gpa| hfence_gvma_vmid_gpa(vmid, gpa),
        |gpa| hinval_gvma_vmid_gpa(vmid, gpa),
    );
}

/// Forgets the VS-stage translations of the pages that begin at `gvas`.
#[inline]
pub(crate) fn hfence_vvma_gvas(gvas: impl Iterator<Item = u64>) {
    fence_each(gvas, hfence_vvma_gva, hinval_vvma_gva);
}

/// Forgets the VS-stage translations by `asid` of the pages that begin at `gvas`.
#[inline]
pub(crate) fn hfence_vvma_asid_gvas(asid: u64, gvas: impl Iterator<Item = u64>) {
    fence_each(
        gvas,
        |gva| hfence_vvma_asid_gva(asid, gva),
        |gva| hinval_vvma_asid_gva(asid, gva),
    );
}

/// Fences each page, by invalidations that are ordered together where the hart has them.
#[inline]
fn fence_each(pages: impl Iterator<Item = u64>, hfence: impl Fn(u64), hinval: impl Fn(u64)) {
    if features::svinval() {
        sfence_w_inval();
        pages.for_each(hinval);
        sfence_inval_ir();
    } else {
        pages.for_each(hfence);
    }
}

/// Orders earlier stores ahead of the invalidations that follow.
#[inline]
fn sfence_w_inval() {
    // SAFETY: A fence.
    unsafe { asm!(".insn r 0x73, 0, 0x0c, x0, x0, x0", options(nostack)) };
}

/// Orders earlier invalidations ahead of the walks that follow.
#[inline]
fn sfence_inval_ir() {
    // SAFETY: A fence.
    unsafe { asm!(".insn r 0x73, 0, 0x0c, x0, x0, x1", options(nostack)) };
}

/// Makes this hart fetch instructions that were written before.
#[inline]
pub(crate) fn fence_i() {
    // SAFETY: A fence.
    unsafe { asm!("fence.i", options(nostack)) };
}
