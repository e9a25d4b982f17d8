// SPDX-License-Identifier: GPL-2.0

//! The dispatch of traps to M-mode.

use crate::{
    hart::{self, Hart, World},
    harts::remote,
    host, insn,
    machine::{
        frame::{Frame, MACHINE},
        irq,
        trap::{exception, Trap},
    },
    sbi,
    world::{hs_mode, interrupts},
};

/// Handles a trap to M-mode. `frame` holds the registers of the interrupted code, and afterwards
/// those of the code to return to.
pub extern "C" fn handle(frame: &mut Frame) {
    let trap = Trap::last(frame.mstatus);
    if frame.mstatus.mpp() == MACHINE {
        panic!("trap in M-mode at {:#x}: {trap:x?}", frame.mepc);
    }
    frame.skip_hs_mode();
    // SAFETY: This is the only call in this stay in M-mode.
    let hart = unsafe { hart::this() };
    if trap.is_interrupt() {
        interrupt(hart, trap.number() as u32);
    } else if trap.cause == exception::ECALL_HS {
        // An interrupt of S-level, for the host: `interrupts::settle()` below delivers it.
    } else if hart.world == World::Guest {
        hs_mode::leave_guest(hart, frame, &trap);
    } else {
        match trap.cause {
            exception::ECALL_VS => sbi::call(hart, frame),
            exception::VIRTUAL_INSTRUCTION => insn::emulate(hart, frame, trap.tval),
            // Traps of the host come here while its `hstatus.SPV` is set: see
            // `host::config::configure()`.
            _ => hs_mode::trap_to_host(hart, frame, &trap),
        }
    }
    interrupts::settle(hart, frame);
}

fn interrupt(hart: &mut Hart, number: u32) {
    match number {
        irq::MACHINE_SOFTWARE => remote::receive(hart),
        irq::MACHINE_TIMER => host::interrupts::timer_expired(hart),
        _ => panic!("nobody has enabled interrupt {number}"),
    }
}
