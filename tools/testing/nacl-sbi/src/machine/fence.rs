// SPDX-License-Identifier: GPL-2.0

//! Fences on this hart.

use super::csr;
use core::arch::asm;

/// An operand that is not there stands for all addresses, or all VMIDs and ASIDs.
pub type Operand = Option<u64>;

macro_rules! fence {
    ($name:literal, $rs1:expr, $rs2:expr) => {
        // SAFETY: A fence.
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

/// HFENCE.GVMA. The address is shifted as the instruction has it.
pub fn gvma(shifted: Operand, vmid: Operand) {
    fence!("hfence.gvma", shifted, vmid);
}

/// Above so many pages, fencing all of them is the shorter way.
const MOST_PAGES: u64 = 64;

/// Fences so many pages from an address on, of `1 << shift` bytes each.
pub fn each(address: u64, count: u64, shift: u64, fence: impl Fn(Operand)) {
    if count > MOST_PAGES || shift > 63 {
        return fence(None);
    }
    for n in 0..count {
        fence(Some(address.wrapping_add(n << shift)));
    }
}

/// HFENCE.GVMA, by the address itself.
pub fn gvma_at(address: Operand, vmid: Operand) {
    gvma(address.map(|address| address >> 2), vmid);
}

/// HFENCE.VVMA as a host would execute it that has this VMID in `hgatp`.
pub fn vvma(vmid: u64, address: Operand, asid: Operand) {
    let own = csr::read(csr::HGATP);
    csr::write(csr::HGATP, vmid << 44 | 8 << 60);
    fence!("hfence.vvma", address, asid);
    csr::write(csr::HGATP, own);
}

/// SFENCE.VMA as the host, which runs in VS-mode, would execute it.
pub fn sfence_vma(address: Operand, asid: Operand) {
    let own = csr::read(csr::HGATP);
    csr::write(csr::HGATP, 0);
    fence!("hfence.vvma", address, asid);
    csr::write(csr::HGATP, own);
}

/// Forgets all translations of VMID 0, which the hart has in `hgatp`, and those of guests.
pub fn everything() {
    gvma(None, None);
    fence!("hfence.vvma", None::<u64>, None::<u64>);
}

/// FENCE.I.
pub fn fence_i() {
    // SAFETY: A fence.
    unsafe { asm!("fence.i") };
}
