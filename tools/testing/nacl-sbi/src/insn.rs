// SPDX-License-Identifier: GPL-2.0

//! The instructions that are valid in HS-mode and trap in VS-mode.

#![deny(unsafe_code)]

use crate::{
    hart::Hart,
    host::virtual_csr,
    machine::{
        csr,
        entry::{Frame, USER},
        fence, hlv, platform,
    },
    sbi::nacl,
    testing::{
        backdoor,
        counters::{self, Event},
        fence_log::{self, How, Kind},
    },
    trap::Trap,
    world,
};

const SYSTEM: u64 = 0x73;
const SRET: u64 = 0x1020_0073;

/// What `funct3` means in the opcode SYSTEM.
const PRIVILEGED: u64 = 0;
const HYPERVISOR_MEMORY: u64 = 4;

/// What `funct7` means among the privileged instructions.
const HFENCE_VVMA: u64 = 0x11;
const HINVAL_VVMA: u64 = 0x13;
const HFENCE_GVMA: u64 = 0x31;
const HINVAL_GVMA: u64 = 0x33;

struct Insn(u64);

impl Insn {
    fn opcode(&self) -> u64 {
        self.0 & 0x7f
    }

    fn rd(&self) -> usize {
        (self.0 >> 7 & 0x1f) as usize
    }

    fn funct3(&self) -> u64 {
        self.0 >> 12 & 7
    }

    fn rs1(&self) -> usize {
        (self.0 >> 15 & 0x1f) as usize
    }

    fn rs2(&self) -> usize {
        (self.0 >> 20 & 0x1f) as usize
    }

    fn funct7(&self) -> u64 {
        self.0 >> 25 & 0x7f
    }

    fn csr(&self) -> u16 {
        (self.0 >> 20 & 0xfff) as u16
    }
}

/// Carries out an instruction that trapped as a virtual one while the host ran.
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
        Err(trap) => world::trap_to_host(hart, frame, &trap),
    }
}

fn sret(hart: &mut Hart, frame: &mut Frame) {
    nacl::notice_trap(hart);
    let enters_guest = *hart.virt(csr::HSTATUS) & virtual_csr::hstatus::SPV != 0;
    if enters_guest {
        counters::count(Event::Sret);
    }
    world::sret(hart, frame);
    if enters_guest {
        nacl::publish(hart, csr::HSTATUS);
    } else {
        world::configure_host(hart);
    }
}

/// In U-mode, none of these is valid. One of them is for the tests.
fn user(frame: &mut Frame, insn: &Insn) -> Result<(), Trap> {
    if insn.0 != backdoor::INSN {
        return Err(Trap::illegal(insn.0));
    }
    frame.x[10] = backdoor::call(frame.x[10], frame.x[11]);
    Ok(())
}

fn supervisor(hart: &mut Hart, frame: &mut Frame, insn: &Insn) -> Result<(), Trap> {
    match insn.funct3() {
        PRIVILEGED => fence(hart, frame, insn),
        HYPERVISOR_MEMORY => memory(hart, frame, insn),
        _ => csr(hart, frame, insn),
    }
}

fn csr(hart: &mut Hart, frame: &mut Frame, insn: &Insn) -> Result<(), Trap> {
    let number = insn.csr();
    if number == csr::SEED && platform::has_csr(number) {
        set(frame, insn.rd(), csr::read_seed());
        return Ok(());
    }
    if !virtual_csr::exists(number) {
        return Err(Trap::illegal(insn.0));
    }
    let is_immediate = insn.funct3() & 4 != 0;
    let operand = if is_immediate {
        insn.rs1() as u64
    } else {
        frame.x[insn.rs1()]
    };
    let replaces = insn.funct3() & 3 == 1;
    let old = virtual_csr::read(hart, number);
    let new = match insn.funct3() & 3 {
        1 => operand,
        2 => old | operand,
        _ => old & !operand,
    };
    if replaces || insn.rs1() != 0 {
        counters::count_csr_write(number);
        virtual_csr::write(hart, number, new);
        // Others depend on this one.
        nacl::publish_all(hart);
    } else {
        counters::count_csr_read(number);
    }
    set(frame, insn.rd(), old);
    Ok(())
}

fn fence(hart: &mut Hart, frame: &mut Frame, insn: &Insn) -> Result<(), Trap> {
    let operand = |register: usize| (register != 0).then(|| frame.x[register]);
    let (rs1, rs2) = (operand(insn.rs1()), operand(insn.rs2()));
    match insn.funct7() {
        HFENCE_GVMA | HINVAL_GVMA => {
            counters::count(Event::HfenceGvma);
            fence::gvma(rs1, rs2);
            note(Kind::Gvma, rs2, None, rs1.map(|shifted| shifted << 2));
        }
        HFENCE_VVMA | HINVAL_VVMA => {
            counters::count(Event::HfenceVvma);
            let vmid = virtual_csr::vmid(*hart.virt(csr::HGATP));
            nacl::judge_vvma(hart, vmid);
            fence::vvma(vmid, rs1, rs2);
            note(Kind::Vvma, Some(vmid), rs2, rs1);
        }
        _ => return Err(Trap::illegal(insn.0)),
    }
    Ok(())
}

/// Notes a fence for tests. An instruction is about one page at least.
fn note(kind: Kind, vmid: Option<u64>, asid: Option<u64>, address: Option<u64>) {
    fence_log::note(fence_log::Fence {
        how: How::Instruction,
        kind,
        vmid,
        asid,
        range: address.map(|address| (address, 0x1000)),
    });
}

fn memory(hart: &mut Hart, frame: &mut Frame, insn: &Insn) -> Result<(), Trap> {
    let op = hlv::Op::decode(insn.funct7(), insn.rs2() as u64).ok_or(Trap::illegal(insn.0))?;
    counters::count(match op {
        op if op.is_store() => Event::Hsv,
        op if op.is_fetch() => Event::Hlvx,
        _ => Event::Hlv,
    });
    // A store has its value where others have the kind of load.
    let value = frame.x[insn.rs2()];
    let loaded = hlv::access(hart, op, frame.x[insn.rs1()], value)?;
    if !op.is_store() {
        set(frame, insn.rd(), loaded);
    }
    Ok(())
}

fn set(frame: &mut Frame, register: usize, value: u64) {
    if register != 0 {
        frame.x[register] = value;
    }
}
