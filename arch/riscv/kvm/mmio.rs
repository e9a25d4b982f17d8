// SPDX-License-Identifier: GPL-2.0

//! Accesses to devices: guest physical addresses that no memory is behind.

#![deny(unsafe_code)]

use crate::{
    exit::{
        Access,
        Next,
        PageFault, //
    },
    guest_read,
    hcsr::exception,
    insn::{
        decode_load,
        decode_store,
        Htinst,
        TrapInsn, //
    },
    pending,
    regs::Regs,
    trace,
    trap::{
        inject,
        Exception, //
    },
    Riscv, //
};
use kernel::kvm::{
    stats::vcpu_counter,
    Gva,
    LoadedVcpu,
    SrcuGuard, //
};

/// Handles an access to an address without memory.
///
/// What is not a plain aligned load or store (an AMO, a vector, an access that is misaligned, a walk
/// of the guest's own page table) gets the access fault that a device would answer with.
pub(crate) fn handle(
    vcpu: &LoadedVcpu<'_, Riscv>,
    srcu: &SrcuGuard<'_, Riscv>,
    fault: &PageFault,
) -> Next {
    let refused = || {
        inject(vcpu, Exception::access_fault(fault.access, fault.gva.0));
        Next::Enter
    };
    if fault.access == Access::Fetch {
        return refused();
    }
    let insn = match Htinst::decode(fault.htinst) {
        Htinst::Transformed(insn) => insn,
        Htinst::PageTableWalk { .. } => return refused(),
        Htinst::Unknown => match fetch(vcpu) {
            Ok(insn) => insn,
            Err(next) => return next,
        },
    };
    let done = match fault.access {
        Access::Load => load(vcpu, srcu, fault, insn),
        _ => store(vcpu, srcu, fault, insn),
    };
    done.unwrap_or_else(refused)
}

/// Fetches the instruction at the guest's program counter, or tells what is next if it cannot be.
pub(crate) fn fetch(vcpu: &LoadedVcpu<'_, Riscv>) -> Result<TrapInsn, Next> {
    guest_read::fetch(vcpu, Gva(Regs::of(vcpu).sepc())).map_err(|trap| {
        // If the page has gone from the G-stage meanwhile, the guest faults on it itself, and gets it
        // back.
        if trap.scause != exception::LOAD_GUEST_PAGE_FAULT {
            inject(vcpu, Exception::of_fetch(&trap));
        }
        Next::Enter
    })
}

fn load(
    vcpu: &LoadedVcpu<'_, Riscv>,
    srcu: &SrcuGuard<'_, Riscv>,
    fault: &PageFault,
    insn: TrapInsn,
) -> Option<Next> {
    let load = decode_load(insn).filter(|load| load.width.is_aligned(fault.gpa.0))?;
    let regs = Regs::of(vcpu);
    let len = load.width.bytes();
    trace::mmio_emulate(vcpu.id(), regs.sepc(), insn.raw(), fault.gpa, false, len);

    let mut data = [0; 8];
    if srcu.mmio_read(fault.gpa, data.get_mut(..len)?) {
        vcpu.count(vcpu_counter!(mmio_exit_kernel));
        pending::finish_load(regs, load, data);
        return Some(Next::Enter);
    }
    vcpu.count(vcpu_counter!(mmio_exit_user));
    pending::ask_load(vcpu, load, fault.gpa);
    Some(Next::Return)
}

fn store(
    vcpu: &LoadedVcpu<'_, Riscv>,
    srcu: &SrcuGuard<'_, Riscv>,
    fault: &PageFault,
    insn: TrapInsn,
) -> Option<Next> {
    let store = decode_store(insn).filter(|store| store.width.is_aligned(fault.gpa.0))?;
    let regs = Regs::of(vcpu);
    let len = store.width.bytes();
    trace::mmio_emulate(vcpu.id(), regs.sepc(), insn.raw(), fault.gpa, true, len);

    let data = regs.gpr(store.rs2).to_le_bytes();
    let data = data.get(..len)?;
    if srcu.mmio_write(fault.gpa, data) {
        vcpu.count(vcpu_counter!(mmio_exit_kernel));
        regs.skip(store.len);
        return Some(Next::Enter);
    }
    vcpu.count(vcpu_counter!(mmio_exit_user));
    pending::ask_store(vcpu, store, fault.gpa, data);
    Some(Next::Return)
}
