// SPDX-License-Identifier: GPL-2.0

//! The host's software and timer interrupts.

use crate::{
    hart::{Hart, World},
    machine::{
        csr,
        irq::{self, VSTIP},
    },
};

/// Sets or clears an interrupt of the host, given as a bit of `hvip`.
pub fn set(hart: &mut Hart, bit: u64, on: bool) {
    let set = |hvip: u64| if on { hvip | bit } else { hvip & !bit };
    match hart.world {
        World::Host => csr::write(csr::HVIP, set(csr::read(csr::HVIP))),
        World::Guest => hart.host_hvip = set(hart.host_hvip),
    }
}

/// Raises the host's timer interrupt when its time has come, on harts without Sstc.
pub fn timer_expired(hart: &mut Hart) {
    csr::clear_mie(1 << irq::MACHINE_TIMER);
    set(hart, VSTIP, true);
}
