// SPDX-License-Identifier: GPL-2.0

//! What each trap means.

use crate::{
    hart::{self, Hart, World},
    harts::remote,
    insn,
    machine::{
        csr,
        entry::{Frame, MACHINE},
    },
    sbi, world,
};

/// Interrupts, by number.
pub mod irq {
    pub const SUPERVISOR_SOFTWARE: u32 = 1;
    pub const MACHINE_SOFTWARE: u32 = 3;
    pub const SUPERVISOR_TIMER: u32 = 5;
    pub const MACHINE_TIMER: u32 = 7;
    pub const SUPERVISOR_EXTERNAL: u32 = 9;
}

/// Exceptions, by number.
pub mod exception {
    pub const ILLEGAL_INSTRUCTION: u64 = 2;
    pub const ECALL_HS: u64 = 9;
    pub const ECALL_VS: u64 = 10;
    pub const VIRTUAL_INSTRUCTION: u64 = 22;
}

const INTERRUPT: u64 = 1 << 63;

/// What the hart tells of a trap.
#[derive(Clone, Copy, Debug)]
pub struct Trap {
    pub cause: u64,
    pub tval: u64,
    pub tval2: u64,
    pub tinst: u64,
    pub gva: bool,
}

impl Trap {
    /// The last trap to M-mode, which left this `mstatus`.
    pub fn last(mstatus: crate::machine::entry::Mstatus) -> Self {
        Self {
            cause: csr::read(csr::MCAUSE),
            tval: csr::read(csr::MTVAL),
            tval2: csr::read(csr::MTVAL2),
            tinst: csr::read(csr::MTINST),
            gva: mstatus.gva(),
        }
    }

    /// An interrupt.
    pub fn interrupt(number: u32) -> Self {
        Self {
            cause: INTERRUPT | u64::from(number),
            tval: 0,
            tval2: 0,
            tinst: 0,
            gva: false,
        }
    }

    /// An illegal instruction.
    pub fn illegal(insn: u64) -> Self {
        Self {
            cause: exception::ILLEGAL_INSTRUCTION,
            tval: insn,
            tval2: 0,
            tinst: 0,
            gva: false,
        }
    }

    pub fn is_interrupt(&self) -> bool {
        self.cause & INTERRUPT != 0
    }

    /// The number of the interrupt or exception.
    pub fn number(&self) -> u64 {
        self.cause & !INTERRUPT
    }
}

/// Handles a trap to M-mode: `frame` says who was interrupted, and afterwards who goes on.
pub extern "C" fn trap(frame: &mut Frame) {
    let trap = Trap::last(frame.mstatus);
    if frame.mstatus.mpp() == MACHINE {
        panic!("trap in M-mode at {:#x}: {trap:x?}", frame.mepc);
    }
    frame.skip_hs_mode();
    // SAFETY: The one call of this stay in M-mode.
    let hart = unsafe { hart::this() };
    if trap.is_interrupt() {
        interrupt(hart, trap.number() as u32);
    } else if trap.cause == exception::ECALL_HS {
        // An interrupt of S-level. It is the host's, which sees it when interrupts are settled.
    } else if hart.world == World::Guest {
        world::leave_guest(hart, frame, &trap);
    } else {
        match trap.cause {
            exception::ECALL_VS => sbi::call(hart, frame),
            exception::VIRTUAL_INSTRUCTION => insn::emulate(hart, frame, trap.tval),
            // While SRET would enter a guest, all traps come here.
            _ => world::trap_to_host(hart, frame, &trap),
        }
    }
    world::settle_interrupts(hart, frame);
}

fn interrupt(hart: &mut Hart, number: u32) {
    match number {
        irq::MACHINE_SOFTWARE => remote::receive(hart),
        irq::MACHINE_TIMER => world::timer_expired(hart),
        _ => panic!("nobody has enabled interrupt {number}"),
    }
}
