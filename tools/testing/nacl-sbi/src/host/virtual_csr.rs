// SPDX-License-Identifier: GPL-2.0

//! The H CSRs as the host sees them.
//!
//! The hart has the same CSRs, so writing to one of them and reading it back shows which values are
//! legal.

use super::config;
use crate::{
    hart::{Hart, H, VS},
    machine::{
        csr,
        fields::envcfg::STCE,
        irq::{VSSIP, VSTIP, VS_INTERRUPTS},
        platform,
    },
};

/// The fields of `vsstatus`: SIE, SPIE, UBE, SPP, VS, FS, XS, SUM, MXR, SPELP, SDT, UXL, SD.
const VSSTATUS: u64 = 0x8000_0003_018d_e762;

/// H CSRs that do not control how a guest runs.
const OTHERS: [u16; 4] = [csr::HGEIE, csr::HGEIP, csr::HTVAL, csr::HTINST];

/// H CSRs that are views of each other, as `hideleg` selects.
const INTERRUPTS: [u16; 5] = [csr::HIE, csr::HVIP, csr::VSIE, csr::HIP, csr::VSIP];

/// Returns all H CSRs that exist, in an order in which none depends on a later one.
pub fn all() -> impl Iterator<Item = u16> {
    let lists: [&'static [u16]; 4] = [&H, &OTHERS, &VS, &INTERRUPTS];
    let of_list = |list| platform::present(list).map(|(_, csr)| csr);
    lists.into_iter().flat_map(of_list)
}

/// Returns whether this is the number of an H CSR that exists.
pub fn exists(csr: u16) -> bool {
    all().any(|other| other == csr)
}

/// Reads an H CSR that exists.
pub fn read(hart: &mut Hart, csr: u16) -> u64 {
    match csr {
        csr::HIP => hip(hart),
        csr::VSIP => (hip(hart) & *hart.virt(csr::HIDELEG) & VS_INTERRUPTS) >> 1,
        csr::VSIE => (*hart.virt(csr::HIE) & *hart.virt(csr::HIDELEG) & VS_INTERRUPTS) >> 1,
        // There are no guest external interrupts.
        csr::HGEIE | csr::HGEIP => 0,
        _ => *hart.virt(csr),
    }
}

fn hip(hart: &mut Hart) -> u64 {
    let mut hip = *hart.virt(csr::HVIP);
    if platform::has_csr(csr::VSTIMECMP) && *hart.virt(csr::HENVCFG) & STCE != 0 {
        let time = csr::read(csr::TIME).wrapping_add(*hart.virt(csr::HTIMEDELTA));
        if time >= *hart.virt(csr::VSTIMECMP) {
            hip |= VSTIP;
        }
    }
    hip
}

/// Writes an H CSR that exists.
pub fn write(hart: &mut Hart, csr: u16, value: u64) {
    match csr {
        csr::HIE => *hart.virt(csr::HIE) = value & VS_INTERRUPTS,
        csr::HVIP => *hart.virt(csr::HVIP) = value & VS_INTERRUPTS,
        // VSSIP is the only writable bit.
        csr::HIP => replace(hart.virt(csr::HVIP), VSSIP, value),
        csr::VSIP => {
            let mask = VSSIP & *hart.virt(csr::HIDELEG);
            replace(hart.virt(csr::HVIP), mask, value << 1);
        }
        csr::VSIE => {
            let mask = VS_INTERRUPTS & *hart.virt(csr::HIDELEG);
            replace(hart.virt(csr::HIE), mask, value << 1);
        }
        csr::HGEIE | csr::HGEIP => (),
        // These hold any value. The hart's own ones are in use and must keep theirs.
        csr::HTVAL | csr::HTINST | csr::VSTIMECMP => *hart.virt(csr) = value,
        // QEMU accepts any value here, and mixes it with `mstatus` while V is 1.
        csr::VSSTATUS => *hart.virt(csr) = legal(hart, csr, value & VSSTATUS),
        csr::HSTATUS => {
            *hart.virt(csr) = legal(hart, csr, value);
            hart.has_left_guest = false;
            config::configure(hart);
        }
        _ => *hart.virt(csr) = legal(hart, csr, value),
    }
}

fn replace(word: &mut u64, mask: u64, value: u64) {
    *word = *word & !mask | value & mask;
}

/// Returns the value that a CSR holds after `value` is written to it.
fn legal(hart: &mut Hart, csr: u16, value: u64) -> u64 {
    debug_assert!(H.contains(&csr) || VS.contains(&csr));
    let own = csr::read(csr);
    // After an illegal value, the CSR may hold what it held before.
    csr::write(csr, *hart.virt(csr));
    csr::write(csr, value);
    let legal = csr::read(csr);
    csr::write(csr, own);
    legal
}
