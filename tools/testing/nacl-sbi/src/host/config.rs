// SPDX-License-Identifier: GPL-2.0

//! The values of CSRs while the host runs.

use crate::{
    hart::{Hart, H},
    machine::{
        csr,
        fields::hstatus,
        irq::{VSEIP, VS_INTERRUPTS},
        platform::present,
    },
};

/// The exceptions that the host handles without a trap to M-mode.
const HOST_EXCEPTIONS: u64 = 0b1011_0001_1111_1111;

/// Returns the value of an H CSR while the host runs.
pub fn own(csr: u16) -> u64 {
    match csr {
        // VSXL: 64 bits.
        csr::HSTATUS => 2 << 32,
        csr::HEDELEG => HOST_EXCEPTIONS,
        csr::HIDELEG => VS_INTERRUPTS,
        csr::HCOUNTEREN | csr::HENVCFG => u64::MAX,
        csr::HSTATEEN0 | csr::HSTATEEN1 | csr::HSTATEEN2 | csr::HSTATEEN3 => u64::MAX,
        // This includes `hgatp`: the host's addresses are those of the machine.
        _ => 0,
    }
}

/// Writes the H CSRs for the host.
pub fn load(hart: &mut Hart) {
    for (_, csr) in present(&H) {
        csr::write(csr, own(csr));
    }
    configure(hart);
}

/// Routes the host's traps, after a change of its `hstatus` or of its external interrupt.
///
/// While `hstatus.SPV` is set, SRET must trap to M-mode, because it enters the guest; and so must
/// all exceptions, because each clears SPV. SRET also traps while the host handles an external
/// interrupt, so that `world::interrupts` sees whether the interrupt is still pending.
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
