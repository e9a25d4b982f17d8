// SPDX-License-Identifier: GPL-2.0

//! The emulation of instructions that are valid in HS-mode, and that trap because the host runs in
//! VS-mode.

#![deny(unsafe_code)]

mod csr_access;
mod decode;
mod guest_memory;
mod hfence;

use crate::{
    hart::Hart,
    host::config,
    machine::{
        csr,
        fields::hstatus,
        frame::{Frame, USER},
        trap::Trap,
    },
    nacl::csr_space,
    testing::{
        backdoor,
        counters::{self, Event},
    },
    world::hs_mode,
};
use decode::Insn;

const SYSTEM: u64 = 0x73;
const SRET: u64 = 0x1020_0073;

/// Values of `funct3` in the opcode SYSTEM; all others are accesses to CSRs.
const PRIVILEGED: u64 = 0;
const HYPERVISOR_MEMORY: u64 = 4;

/// Emulates an instruction of the host that raised a virtual-instruction exception.
pub fn emulate(hart: &mut Hart, frame: &mut Frame, insn: u64) {
    let decoded = Insn(insn);
    let done = if decoded.opcode() != SYSTEM {
        Err(Trap::illegal(insn))
    } else if frame.mstatus.mpp() == USER {
        user(frame, &decoded)
    } else if insn == SRET {
        sret(hart, frame);
        return;
    } else {
        supervisor(hart, frame, &decoded)
    };
    match done {
        Ok(()) => frame.mepc += 4,
        Err(trap) => hs_mode::trap_to_host(hart, frame, &trap),
    }
}

fn sret(hart: &mut Hart, frame: &mut Frame) {
    csr_space::notice_trap(hart);
    let enters_guest = *hart.virt(csr::HSTATUS) & hstatus::SPV != 0;
    if enters_guest {
        counters::count(Event::Sret);
    }
    hs_mode::sret(hart, frame);
    if enters_guest {
        csr_space::publish(hart, csr::HSTATUS);
    } else {
        config::configure(hart);
    }
}

/// Emulates an instruction of the host's user space: all are illegal, except for the one by which
/// tests ask.
fn user(frame: &mut Frame, insn: &Insn) -> Result<(), Trap> {
    if insn.0 != backdoor::INSN {
        return Err(Trap::illegal(insn.0));
    }
    frame.x[10] = backdoor::call(frame.x[10], frame.x[11]);
    Ok(())
}

fn supervisor(hart: &mut Hart, frame: &mut Frame, insn: &Insn) -> Result<(), Trap> {
    match insn.funct3() {
        PRIVILEGED => hfence::emulate(hart, frame, insn),
        HYPERVISOR_MEMORY => guest_memory::emulate(hart, frame, insn),
        _ => csr_access::emulate(hart, frame, insn),
    }
}
