// SPDX-License-Identifier: GPL-2.0

//! The delivery of interrupts to the host.

use super::hs_mode;
use crate::{
    hart::{Hart, World},
    host::config,
    machine::{
        csr,
        frame::Frame,
        irq::{self, SEIP, SSIP, STIP, VSEIP},
        platform,
        trap::Trap,
    },
};

/// Delivers interrupts before the return to V=1: leaves the guest if one of the host's interrupts
/// is pending and enabled, and shows the host the external interrupt.
pub fn settle(hart: &mut Hart, frame: &mut Frame) {
    if hart.world == World::Guest {
        match pending(hart) {
            Some(number) => hs_mode::leave_guest(hart, frame, &Trap::interrupt(number)),
            None => return,
        }
    }
    // While the external interrupt is pending for the host, it needs no trap to M-mode. The SRET at
    // the end of the host's handler traps instead, and brings control here again.
    let is_external = csr::read(csr::MIP) & SEIP != 0;
    let hvip = csr::read(csr::HVIP);
    if is_external != (hvip & VSEIP != 0) {
        csr::write(csr::HVIP, hvip ^ VSEIP);
        config::configure(hart);
    }
    if is_external {
        csr::clear_mie(SEIP);
    } else {
        csr::set_mie(SEIP);
    }
}

/// Returns the interrupt, if any, for which the host takes over from its guest.
fn pending(hart: &mut Hart) -> Option<u32> {
    let mut pending = csr::read(csr::MIP) & SEIP | (hart.host_hvip >> 1) & (SSIP | STIP);
    if platform::has_csr(csr::VSTIMECMP) && csr::read(csr::TIME) >= *hart.host_vs(csr::VSTIMECMP) {
        pending |= STIP;
    }
    pending &= hart.host_sie;
    [
        irq::SUPERVISOR_EXTERNAL,
        irq::SUPERVISOR_SOFTWARE,
        irq::SUPERVISOR_TIMER,
    ]
    .into_iter()
    .find(|number| pending & 1 << number != 0)
}
