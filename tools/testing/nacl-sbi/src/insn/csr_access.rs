// SPDX-License-Identifier: GPL-2.0

//! Accesses to H CSRs, and to the entropy source.

use super::decode::Insn;
use crate::{
    hart::Hart,
    host::virtual_csr,
    machine::{csr, frame::Frame, platform, trap::Trap},
    nacl::csr_space,
    testing::counters,
};

/// Emulates CSRRW, CSRRS and CSRRC.
pub fn emulate(hart: &mut Hart, frame: &mut Frame, insn: &Insn) -> Result<(), Trap> {
    let number = insn.csr();
    if number == csr::SEED && platform::has_csr(number) {
        frame.set(insn.rd(), csr::read_seed());
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
        // Other CSRs may depend on this one.
        csr_space::publish_all(hart);
    } else {
        counters::count_csr_read(number);
    }
    frame.set(insn.rd(), old);
    Ok(())
}
