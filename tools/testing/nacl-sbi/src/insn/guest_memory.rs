// SPDX-License-Identifier: GPL-2.0

//! Loads and stores of the host in its guest's memory.

use super::decode::Insn;
use crate::{
    hart::Hart,
    host::config::own,
    machine::{
        csr, fence, fields,
        frame::{Frame, Mstatus},
        hlv::{self, Op},
        platform::present,
        trap::Trap,
    },
    testing::counters::{self, Event},
};

/// Emulates HLV, HLVX and HSV.
pub fn emulate(hart: &mut Hart, frame: &mut Frame, insn: &Insn) -> Result<(), Trap> {
    let op = Op::decode(insn.funct7(), insn.rs2() as u64).ok_or(Trap::illegal(insn.0))?;
    counters::count(match op {
        op if op.is_store() => Event::Hsv,
        op if op.is_fetch() => Event::Hlvx,
        _ => Event::Hlv,
    });
    // In a store, `rs2` is the register to store; in a load, it selects the kind of load.
    let value = frame.x[insn.rs2()];
    let loaded = access(hart, op, frame.x[insn.rs1()], value)?;
    if !op.is_store() {
        frame.set(insn.rd(), loaded);
    }
    Ok(())
}

/// The CSRs that the guest's translation depends on.
const TRANSLATION: [u16; 5] = [
    csr::HSTATUS,
    csr::HENVCFG,
    csr::HGATP,
    csr::VSSTATUS,
    csr::VSATP,
];

/// Executes an access with the guest's translation, as the host's view of the CSRs describes it.
fn access(hart: &mut Hart, op: Op, address: u64, value: u64) -> Result<u64, Trap> {
    let mut saved = [0; TRANSLATION.len()];
    for (i, csr) in present(&TRANSLATION) {
        saved[i] = csr::read(csr);
    }
    // MXR of HS-mode counts as well, and is in `mstatus`.
    let mstatus = csr::read(csr::MSTATUS);
    let mxr = saved[3] & Mstatus::MXR;
    for (_, csr) in present(&TRANSLATION) {
        csr::write(csr, *hart.virt(csr));
    }
    csr::write(csr::MSTATUS, mstatus & !Mstatus::MXR | mxr);
    let is_shared = fields::vmid(*hart.virt(csr::HGATP)) == 0;
    if is_shared {
        fence::everything();
    }

    let result = hlv::execute(op, address, value);

    if is_shared {
        fence::everything();
    }
    csr::write(csr::MSTATUS, mstatus);
    for (i, csr) in present(&TRANSLATION) {
        csr::write(csr, saved[i]);
    }
    debug_assert_eq!(csr::read(csr::HGATP), own(csr::HGATP));
    result
}
