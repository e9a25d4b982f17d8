// SPDX-License-Identifier: GPL-2.0

//! From the host to its guest, and back: what SRET and traps do in HS-mode, and what of the hart's
//! state belongs to whom.

#![deny(unsafe_code)]

use crate::{
    hart::{Hart, World, H, VS},
    host::virtual_csr::{self, hstatus, VS_INTERRUPTS},
    machine::{
        csr,
        entry::{Frame, Mstatus, SUPERVISOR},
        fence, platform,
    },
    sbi::nacl,
    testing::{
        counters::{self, Event},
        fence_log,
    },
    trap::{irq, Trap},
};

/// Exceptions that are the host's own, so that nobody is to be asked.
const HOST_EXCEPTIONS: u64 = 0b1011_0001_1111_1111;

/// Fields of `sstatus`.
mod sstatus {
    pub const SIE: u64 = 1 << 1;
    pub const SPIE: u64 = 1 << 5;
    pub const SPP_SHIFT: u32 = 8;
}

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

/// Returns the CSRs of a list that the hart has.
pub fn present(list: &'static [u16]) -> impl Iterator<Item = (usize, u16)> {
    let there = |&(_, csr): &(usize, u16)| platform::has_csr(csr);
    list.iter().copied().enumerate().filter(there)
}

/// Sets the CSRs by which the host runs.
pub fn load_own(hart: &mut Hart) {
    for (_, csr) in present(&H) {
        csr::write(csr, own(csr));
    }
    configure_host(hart);
}

/// Has traps come to where they are to, while the host runs.
///
/// While SRET would enter a guest, it has to trap to here; and all exceptions have, because each
/// clears `hstatus.SPV`. SRET traps, too, while the host handles an external interrupt, to see
/// whether there still is one.
pub fn configure_host(hart: &mut Hart) {
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

/// Emulates SRET in HS-mode.
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
    enter_guest(hart);
    // Registers that the host has switched off are off for its guest.
    frame.mstatus = Mstatus::to_virtual(privilege, status, status);
}

fn enter_guest(hart: &mut Hart) {
    hart.host_sie = csr::read(csr::VSIE);
    hart.host_hvip = csr::read(csr::HVIP);
    for (_, csr) in present(&H) {
        csr::write(csr, *hart.virt(csr));
    }
    for (i, csr) in present(&VS) {
        hart.host_vs[i] = csr::read(csr);
        csr::write(csr, *hart.virt(csr));
    }
    csr::write(csr::MEDELEG, *hart.virt(csr::HEDELEG));
    let delegated = *hart.virt(csr::HIDELEG) & VS_INTERRUPTS;
    csr::write(csr::HVIP, *hart.virt(csr::HVIP));
    // What is not delegated would be taken in HS-mode, where nobody is.
    csr::clear_mie(VS_INTERRUPTS);
    csr::set_mie(*hart.virt(csr::HIE) & delegated);
    forget_shared_vmid(hart);
    fence_log::note_entry(virtual_csr::vmid(*hart.virt(csr::HGATP)));
    hart.world = World::Guest;

    csr::clear_mie(SEIP | STIP);
    csr::set_mie(hart.host_sie & (SEIP | STIP));
    if platform::has_csr(csr::STIMECMP) {
        csr::write(csr::STIMECMP, *host_vs(hart, csr::VSTIMECMP));
    }
}

/// Where a CSR of the host is kept while its guest runs.
pub fn host_vs(hart: &mut Hart, csr: u16) -> &mut u64 {
    match VS.iter().position(|&vs| vs == csr) {
        Some(i) => &mut hart.host_vs[i],
        None => panic!("{csr:#x} is not a VS CSR"),
    }
}

fn load_host(hart: &mut Hart) {
    let delegated = *hart.virt(csr::HIDELEG) & VS_INTERRUPTS;
    let hie = *hart.virt(csr::HIE) & !delegated | csr::read(csr::MIE) & delegated;
    *hart.virt(csr::HIE) = hie;
    *hart.virt(csr::HVIP) = csr::read(csr::HVIP) & VS_INTERRUPTS;
    for (i, csr) in present(&VS) {
        *hart.virt(csr) = csr::read(csr);
        csr::write(csr, hart.host_vs[i]);
    }
    for (_, csr) in present(&H) {
        csr::write(csr, own(csr));
    }
    csr::write(csr::VSIE, hart.host_sie);
    csr::write(csr::HVIP, hart.host_hvip);
    csr::clear_mie(STIP);
    if platform::has_csr(csr::STIMECMP) {
        csr::write(csr::STIMECMP, u64::MAX);
    }
    forget_shared_vmid(hart);
    hart.world = World::Host;
}

/// The host runs with VMID 0. If a guest does so, too, nothing of one may be left to the other.
fn forget_shared_vmid(hart: &mut Hart) {
    if virtual_csr::vmid(*hart.virt(csr::HGATP)) == 0 {
        fence::everything();
    }
}

/// A trap of the guest to HS-mode.
pub fn leave_guest(hart: &mut Hart, frame: &mut Frame, trap: &Trap) {
    counters::count(Event::GuestExit);
    load_host(hart);
    // The host's registers that the guest has used are dirty for the host.
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
    nacl::left_guest(hart);
    configure_host(hart);
}

/// A trap of the host, or of its user space, to HS-mode.
pub fn trap_to_host(hart: &mut Hart, frame: &mut Frame, trap: &Trap) {
    *hart.virt(csr::HSTATUS) &= !hstatus::SPV;
    hart.has_left_guest = false;
    enter_handler(hart, frame, trap);
    nacl::publish_all(hart);
    configure_host(hart);
}

/// What a trap to HS-mode does, but for SPV and SPVP.
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
    *hart.virt(csr::HTINST) = trap.tinst;
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

/// Interrupts of the host, in the places of `sip` and `mip`.
pub const SSIP: u64 = 1 << irq::SUPERVISOR_SOFTWARE;
pub const STIP: u64 = 1 << irq::SUPERVISOR_TIMER;
pub const SEIP: u64 = 1 << irq::SUPERVISOR_EXTERNAL;
/// The same, in the places of `hvip`.
pub const VSSIP: u64 = SSIP << 1;
pub const VSTIP: u64 = STIP << 1;
pub const VSEIP: u64 = SEIP << 1;

/// Before the return to V=1: whoever is to see an interrupt sees it, and nobody else.
pub fn settle_interrupts(hart: &mut Hart, frame: &mut Frame) {
    if hart.world == World::Guest {
        match pending(hart) {
            Some(number) => leave_guest(hart, frame, &Trap::interrupt(number)),
            None => return,
        }
    }
    // While it is pending for the host, there is nothing to be told of; SRET, by which the host
    // ends its handler, is the time to look again.
    let is_external = csr::read(csr::MIP) & SEIP != 0;
    let hvip = csr::read(csr::HVIP);
    if is_external != (hvip & VSEIP != 0) {
        csr::write(csr::HVIP, hvip ^ VSEIP);
        configure_host(hart);
    }
    if is_external {
        csr::clear_mie(SEIP);
    } else {
        csr::set_mie(SEIP);
    }
}

/// Returns the interrupt for which the host would take over from its guest.
fn pending(hart: &mut Hart) -> Option<u32> {
    let mut pending = csr::read(csr::MIP) & SEIP | (hart.host_hvip >> 1) & (SSIP | STIP);
    if platform::has_csr(csr::VSTIMECMP) && csr::read(csr::TIME) >= *host_vs(hart, csr::VSTIMECMP) {
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

/// Sets or clears an interrupt of the host, by its place in `hvip`.
pub fn set_host_interrupt(hart: &mut Hart, bit: u64, on: bool) {
    let set = |hvip: u64| if on { hvip | bit } else { hvip & !bit };
    match hart.world {
        World::Host => csr::write(csr::HVIP, set(csr::read(csr::HVIP))),
        World::Guest => hart.host_hvip = set(hart.host_hvip),
    }
}

/// The time that the host has set has come; on harts without Sstc.
pub fn timer_expired(hart: &mut Hart) {
    csr::clear_mie(1 << irq::MACHINE_TIMER);
    set_host_interrupt(hart, VSTIP, true);
}
