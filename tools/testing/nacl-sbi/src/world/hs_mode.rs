// SPDX-License-Identifier: GPL-2.0

//! SRET and traps, as HS-mode defines them.

use super::switch;
use crate::{
    hart::Hart,
    host::config,
    machine::{
        csr,
        fields::{hstatus, sstatus},
        frame::{Frame, Mstatus, SUPERVISOR},
        trap::Trap,
    },
    nacl::csr_space,
    testing::{
        counters::{self, Event},
        misuse::{self, Misuse},
    },
};

/// Emulates SRET in HS-mode, which enters the guest if `hstatus.SPV` is set.
pub fn sret(hart: &mut Hart, frame: &mut Frame) {
    let status = csr::read(csr::VSSTATUS);
    let privilege = status >> sstatus::SPP_SHIFT & 1;
    let mut next = status & !(sstatus::SIE | 1 << sstatus::SPP_SHIFT) | sstatus::SPIE;
    if status & sstatus::SPIE != 0 {
        next |= sstatus::SIE;
    }
    csr::write(csr::VSSTATUS, next);
    frame.mepc = csr::read(csr::VSEPC);
    if *hart.virt(csr::HSTATUS) & hstatus::SPV == 0 {
        frame.mstatus = Mstatus::to_virtual(privilege, Mstatus::FS_VS, 0);
        return;
    }
    *hart.virt(csr::HSTATUS) &= !hstatus::SPV;
    switch::enter_guest(hart);
    // Floating point and vectors that the host has switched off are off for its guest, too.
    frame.mstatus = Mstatus::to_virtual(privilege, status, status);
}

/// Emulates a trap of the guest to HS-mode.
pub fn leave_guest(hart: &mut Hart, frame: &mut Frame, trap: &Trap) {
    counters::count(Event::GuestExit);
    switch::load_host(hart);
    // If the guest has used floating point or vectors, then they are dirty for the host as well.
    let used = frame.mstatus.0 & Mstatus::FS_VS;
    let status = csr::read(csr::VSSTATUS) & !Mstatus::FS_VS | used;
    csr::write(csr::VSSTATUS, status);
    let privilege = frame.mstatus.mpp();
    let mut guest = *hart.virt(csr::HSTATUS) & !hstatus::SPVP | hstatus::SPV;
    if privilege == SUPERVISOR {
        guest |= hstatus::SPVP;
    }
    *hart.virt(csr::HSTATUS) = guest;
    enter_handler(hart, frame, trap);
    csr_space::left_guest(hart);
    config::configure(hart);
}

/// Emulates a trap of the host, or of its user space, to HS-mode.
pub fn trap_to_host(hart: &mut Hart, frame: &mut Frame, trap: &Trap) {
    *hart.virt(csr::HSTATUS) &= !hstatus::SPV;
    hart.has_left_guest = false;
    enter_handler(hart, frame, trap);
    csr_space::publish_all(hart);
    config::configure(hart);
}

/// Emulates the part that all traps to HS-mode have in common: everything but SPV and SPVP.
fn enter_handler(hart: &mut Hart, frame: &mut Frame, trap: &Trap) {
    let status = csr::read(csr::VSSTATUS);
    let mut next = status & !(sstatus::SIE | sstatus::SPIE | 1 << sstatus::SPP_SHIFT);
    if status & sstatus::SIE != 0 {
        next |= sstatus::SPIE;
    }
    next |= (frame.mstatus.mpp() & 1) << sstatus::SPP_SHIFT;
    csr::write(csr::VSSTATUS, next);
    csr::write(csr::VSEPC, frame.mepc);
    csr::write(csr::VSCAUSE, trap.cause);
    csr::write(csr::VSTVAL, trap.tval);
    *hart.virt(csr::HTVAL) = trap.tval2;
    *hart.virt(csr::HTINST) = tinst(trap);
    let gva = if trap.gva { hstatus::GVA } else { 0 };
    let virt = hart.virt(csr::HSTATUS);
    *virt = *virt & !hstatus::GVA | gva;

    let stvec = csr::read(csr::VSTVEC);
    let offset = match stvec & 3 {
        1 if trap.is_interrupt() => 4 * trap.number(),
        _ => 0,
    };
    frame.mepc = (stvec & !3) + offset;
    frame.mstatus = Mstatus::to_virtual(SUPERVISOR, Mstatus::FS_VS, 0);
}

/// Returns the value of `htinst` for a trap.
///
/// If a test has asked for that, it is zero instead of an instruction. The value for an implicit
/// access to the guest's page table stays, because the specification does not permit zero there.
fn tinst(trap: &Trap) -> u64 {
    let is_instruction = trap.tinst & 1 != 0;
    if is_instruction && misuse::takes_place(Misuse::NoHtinst) {
        return 0;
    }
    trap.tinst
}
