// SPDX-License-Identifier: GPL-2.0

//! Accesses to H CSRs, and to the entropy source.

use super::decode::Insn;
use crate::{
    hart::Hart,
    host::virtual_csr,
    machine::{csr, fields::envcfg, frame::Frame, platform, trap::Trap},
    nacl::csr_space,
    testing::counters::{self, Event},
};
use sbi_spec::nacl::feature_id;

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
        judge_order(hart, number, old);
        // Other CSRs may depend on this one.
        csr_space::publish_all(hart);
    } else {
        counters::count_csr_read(number);
    }
    frame.set(insn.rd(), old);
    Ok(())
}

/// Counts, for tests, a change of the guest's translation while `vsatp` is not zero.
///
/// A hart may walk the tables that `vsatp` names at any time, and would cache what it finds under
/// the VMID and by the rules of another guest. So a hypervisor makes `vsatp` zero before it changes
/// `hgatp`, or PBMTE or ADUE of `henvcfg`, and loads it afterwards (privileged specification,
/// "Memory-Management Fences" of the H extension).
///
/// With sync_csr, the order in which the host writes to shared memory has no meaning, so only hosts
/// without it are judged.
fn judge_order(hart: &mut Hart, number: u16, old: u64) {
    let translation = match number {
        csr::HGATP => u64::MAX,
        csr::HENVCFG => envcfg::PBMTE | envcfg::ADUE,
        _ => return,
    };
    let changed = (virtual_csr::read(hart, number) ^ old) & translation != 0;
    if changed && *hart.virt(csr::VSATP) != 0 && !platform::has_feature(feature_id::SYNC_CSR) {
        counters::count(Event::ChangeUnderVsatp);
    }
}
