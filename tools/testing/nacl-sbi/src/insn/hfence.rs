// SPDX-License-Identifier: GPL-2.0

//! Fences of guests' translations.

use super::decode::Insn;
use crate::{
    hart::Hart,
    machine::{csr, fence, fields, frame::Frame, trap::Trap},
    nacl::csr_space,
    testing::{
        counters::{self, Event},
        fence_log::{self, How, Kind},
    },
};

/// Values of `funct7` of privileged instructions.
const HFENCE_VVMA: u64 = 0x11;
const HINVAL_VVMA: u64 = 0x13;
const HFENCE_GVMA: u64 = 0x31;
const HINVAL_GVMA: u64 = 0x33;

/// Emulates HFENCE and HINVAL.
pub fn emulate(hart: &mut Hart, frame: &mut Frame, insn: &Insn) -> Result<(), Trap> {
    let operand = |register: usize| (register != 0).then(|| frame.x[register]);
    let (rs1, rs2) = (operand(insn.rs1()), operand(insn.rs2()));
    let how = match insn.funct7() {
        HINVAL_VVMA | HINVAL_GVMA => How::Hinval,
        _ => How::Instruction,
    };
    match insn.funct7() {
        HFENCE_GVMA | HINVAL_GVMA => {
            counters::count(Event::HfenceGvma);
            fence::gvma(rs1, rs2);
            note(how, Kind::Gvma, rs2, None, rs1.map(|shifted| shifted << 2));
        }
        HFENCE_VVMA | HINVAL_VVMA => {
            counters::count(Event::HfenceVvma);
            let vmid = fields::vmid(*hart.virt(csr::HGATP));
            csr_space::judge_vvma(hart, vmid);
            fence::vvma(vmid, rs1, rs2);
            note(how, Kind::Vvma, Some(vmid), rs2, rs1);
        }
        _ => return Err(Trap::illegal(insn.0)),
    }
    Ok(())
}

/// Writes a fence to the log for tests. An instruction with an address fences at least one page.
fn note(how: How, kind: Kind, vmid: Option<u64>, asid: Option<u64>, address: Option<u64>) {
    fence_log::note(fence_log::Fence {
        how,
        kind,
        vmid,
        asid,
        range: address.map(|address| (address, 0x1000)),
    });
}
