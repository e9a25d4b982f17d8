// SPDX-License-Identifier: GPL-2.0

//! The fences of this hart.

use super::csr;
use core::arch::asm;

/// The operand of a fence. [`None`] means all addresses, or all VMIDs or ASIDs.
pub type Operand = Option<u64>;

macro_rules! fence {
    ($name:literal, $rs1:expr, $rs2:expr) => {
        // SAFETY: A fence does not change memory or registers.
        unsafe {
            match ($rs1, $rs2) {
                (None, None) => asm!(
                    ".option push", ".option arch, +h",
                    concat!($name, " zero, zero"),
                    ".option pop",
                ),
                (Some(a), None) => asm!(
                    ".option push", ".option arch, +h",
                    concat!($name, " {}, zero"),
                    ".option pop",
                    in(reg) a,
                ),
                (None, Some(b)) => asm!(
                    ".option push", ".option arch, +h",
                    concat!($name, " zero, {}"),
                    ".option pop",
                    in(reg) b,
                ),
                (Some(a), Some(b)) => asm!(
                    ".option push", ".option arch, +h",
                    concat!($name, " {}, {}"),
                    ".option pop",
                    in(reg) a, in(reg) b,
                ),
            }
        }
    };
}

/// Executes HFENCE.GVMA. The address is shifted right by two bits, as the instruction expects.
pub fn gvma(shifted: Operand, vmid: Operand) {
    fence!("hfence.gvma", shifted, vmid);
}

/// The largest number of pages that are fenced one by one: above, one fence of all addresses is
/// faster.
const MOST_PAGES: u64 = 64;

/// Calls `fence` for each of `count` pages of `1 << shift` bytes, from `address` on; or once for
/// all addresses.
pub fn each(address: u64, count: u64, shift: u64, fence: impl Fn(Operand)) {
    if count > MOST_PAGES || shift > 63 {
        return fence(None);
    }
    for n in 0..count {
        fence(Some(address.wrapping_add(n << shift)));
    }
}

/// Executes HFENCE.GVMA for an address that is not shifted.
pub fn gvma_at(address: Operand, vmid: Operand) {
    gvma(address.map(|address| address >> 2), vmid);
}

/// Executes HFENCE.VVMA as a host with this VMID in `hgatp` would.
pub fn vvma(vmid: u64, address: Operand, asid: Operand) {
    let own = csr::read(csr::HGATP);
    csr::write(csr::HGATP, vmid << 44 | 8 << 60);
    fence!("hfence.vvma", address, asid);
    csr::write(csr::HGATP, own);
}

/// Executes SFENCE.VMA as the host would, which runs in VS-mode with VMID 0.
pub fn sfence_vma(address: Operand, asid: Operand) {
    let own = csr::read(csr::HGATP);
    csr::write(csr::HGATP, 0);
    fence!("hfence.vvma", address, asid);
    csr::write(csr::HGATP, own);
}

/// Drops all G-stage translations, and the VS-stage translations of VMID 0, which must be in
/// `hgatp`.
pub fn everything() {
    gvma(None, None);
    fence!("hfence.vvma", None::<u64>, None::<u64>);
}

/// Executes FENCE.I.
pub fn fence_i() {
    // SAFETY: A fence does not change memory or registers.
    unsafe { asm!("fence.i") };
}
