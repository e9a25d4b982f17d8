// SPDX-License-Identifier: GPL-2.0

//! The state in which the host starts on a hart.

use super::config;
use crate::{
    hart::{Hart, VS},
    machine::{csr, fence, irq, platform},
};

/// Puts the hart in the state in which the host expects it at its start.
pub fn reset(hart: &mut Hart) {
    csr::clear_mie(u64::MAX);
    hart.reset();
    csr::write(csr::HVIP, 0);
    config::load(hart);
    stop_translation();
    csr::write(csr::VSIE, 0);
    for (_, csr) in platform::present(&VS) {
        match csr {
            csr::VSTIMECMP => csr::write(csr, u64::MAX),
            csr::VSSTATUS | csr::VSATP => (),
            _ => csr::write(csr, 0),
        }
    }
    if platform::has_csr(csr::STIMECMP) {
        csr::write(csr::STIMECMP, u64::MAX);
    }
    fence::everything();
    csr::set_mie(1 << irq::MACHINE_SOFTWARE | irq::SEIP);
}

/// Switches off the host's translation and its interrupts.
pub fn stop_translation() {
    csr::write(csr::VSATP, 0);
    csr::write(csr::VSSTATUS, 2 << 32);
}
