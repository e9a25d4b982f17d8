// SPDX-License-Identifier: GPL-2.0

//! The CSRs by which the host runs.

use crate::{
    hart::{Hart, H},
    machine::{
        csr,
        fields::hstatus,
        irq::{VSEIP, VS_INTERRUPTS},
        platform::present,
    },
};

/// Exceptions that are the host's own, so that nobody is to be asked.
const HOST_EXCEPTIONS: u64 = 0b1011_0001_1111_1111;

/// What an H CSR holds while the host runs.
pub fn own(csr: u16) -> u64 {
    match csr {
        // VSXL: 64 bits.
        csr::HSTATUS => 2 << 32,
        csr::HEDELEG => HOST_EXCEPTIONS,
        csr::HIDELEG => VS_INTERRUPTS,
        csr::HCOUNTEREN | csr::HENVCFG => u64::MAX,
        csr::HSTATEEN0 | csr::HSTATEEN1 | csr::HSTATEEN2 | csr::HSTATEEN3 => u64::MAX,
        // Among others `hgatp`: addresses are those of the machine.
        _ => 0,
    }
}

/// Sets the CSRs by which the host runs.
pub fn load(hart: &mut Hart) {
    for (_, csr) in present(&H) {
        csr::write(csr, own(csr));
    }
    configure(hart);
}

/// Has traps come to where they are to, while the host runs.
///
/// While SRET would enter a guest, it has to trap to here; and all exceptions have, because each
/// clears `hstatus.SPV`. SRET traps, too, while the host handles an external interrupt, to see
/// whether there still is one.
pub fn configure(hart: &mut Hart) {
    let enters_guest = *hart.virt(csr::HSTATUS) & hstatus::SPV != 0;
    let exceptions = if enters_guest { 0 } else { HOST_EXCEPTIONS };
    csr::write(csr::MEDELEG, exceptions);
    csr::write(csr::HEDELEG, exceptions);
    let external = csr::read(csr::HVIP) & VSEIP != 0;
    let vtsr = if enters_guest || external {
        hstatus::VTSR
    } else {
        0
    };
    csr::write(csr::HSTATUS, own(csr::HSTATUS) | vtsr);
}
