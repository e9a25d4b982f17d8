// SPDX-License-Identifier: GPL-2.0

//! Accesses to devices: guest physical addresses that no memory is behind.

#![deny(unsafe_code)]

use crate::{
    abi::insn::{
        decode_load,
        decode_store,
        Htinst,
        TrapInsn, //
    },
    exits::Next,
    hart::trap::{
        cause,
        Access,
        GuestPageFault, //
    },
    switch::{
        guest_load::{
            self,
            ReadError, //
        },
        regs::Regs, //
    },
    trace,
    vcpu::{
        completion,
        exception::{
            inject,
            Exception, //
        },
    },
    Riscv, //
};
use kernel::{
    interrupt::LocalInterruptDisabled,
    kvm::{
        stats::vcpu_counter,
        LoadedVcpu,
        SrcuGuard, //
    },
    prelude::*, //
};

/// Handles an access to an address without memory.
///
/// A fetch, and a walk of the guest's own page table, get the access fault that a device would
/// answer with.
///
/// # Errors
///
/// As user space knows them from KVM on RISC-V: [`EIO`] for an access that is not aligned, and
/// [`EOPNOTSUPP`] for an instruction that is no plain load or store, like an AMO.
pub(crate) fn handle(
    vcpu: &LoadedVcpu<'_, Riscv>,
    srcu: &SrcuGuard<'_, Riscv>,
    fault: &GuestPageFault,
) -> Result<Next> {
    let refused = || {
        inject(vcpu, Exception::access_fault(fault.access, fault.gva.0));
        Ok(Next::Enter)
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
    access(vcpu, srcu, fault, insn)
}

/// Handles an access to an address without memory, with interrupts disabled, if it is a plain load or
/// store. It is [`None`] if it is not: then nothing is done, and it is for [`handle`].
pub(crate) fn handle_at_once(
    vcpu: &LoadedVcpu<'_, Riscv>,
    irq: &LocalInterruptDisabled,
    srcu: &SrcuGuard<'_, Riscv>,
    fault: &GuestPageFault,
) -> Option<Next> {
    if fault.access == Access::Fetch {
        return None;
    }
    let insn = match Htinst::decode(fault.htinst) {
        Htinst::Transformed(insn) => insn,
        Htinst::PageTableWalk { .. } => return None,
        Htinst::Unknown => guest_load::fetch_at_once(vcpu, irq)?,
    };
    access(vcpu, srcu, fault, insn).ok()
}

/// Where it is an error, nothing has been done.
fn access(
    vcpu: &LoadedVcpu<'_, Riscv>,
    srcu: &SrcuGuard<'_, Riscv>,
    fault: &GuestPageFault,
    insn: TrapInsn,
) -> Result<Next> {
    match fault.access {
        Access::Load => load(vcpu, srcu, fault, insn),
        _ => store(vcpu, srcu, fault, insn),
    }
}

/// Fetches the instruction at the guest's program counter, or tells what is next if it cannot be.
pub(crate) fn fetch(vcpu: &LoadedVcpu<'_, Riscv>) -> Result<TrapInsn, Result<Next>> {
    guest_load::fetch(vcpu).map_err(|error| {
        match error {
            // The page has gone from the G-stage meanwhile: the guest faults on it itself, and gets
            // it back.
            ReadError::Trap(trap) if trap.scause == cause::LOAD_GUEST_PAGE_FAULT => {}
            ReadError::Trap(trap) => inject(vcpu, Exception::of_fetch(&trap)),
            ReadError::Again => {}
            ReadError::Failed(e) => return Err(e),
        }
        Ok(Next::Enter)
    })
}

fn load(
    vcpu: &LoadedVcpu<'_, Riscv>,
    srcu: &SrcuGuard<'_, Riscv>,
    fault: &GuestPageFault,
    insn: TrapInsn,
) -> Result<Next> {
    let load = decode_load(insn).ok_or(EOPNOTSUPP)?;
    if !load.width.is_aligned(fault.gpa.0) {
        return Err(EIO);
    }
    let regs = Regs::of(vcpu);
    let len = load.width.bytes();
    trace::mmio_emulate(vcpu.id(), regs.sepc(), insn.raw(), fault.gpa, false, len);

    let mut data = [0; 8];
    if srcu.mmio_read(fault.gpa, data.get_mut(..len).ok_or(EINVAL)?) {
        vcpu.count(vcpu_counter!(mmio_exit_kernel));
        completion::finish_load(regs, load, data);
        return Ok(Next::Enter);
    }
    vcpu.count(vcpu_counter!(mmio_exit_user));
    completion::ask_load(vcpu, load, fault.gpa);
    Ok(Next::Return)
}

fn store(
    vcpu: &LoadedVcpu<'_, Riscv>,
    srcu: &SrcuGuard<'_, Riscv>,
    fault: &GuestPageFault,
    insn: TrapInsn,
) -> Result<Next> {
    let store = decode_store(insn).ok_or(EOPNOTSUPP)?;
    if !store.width.is_aligned(fault.gpa.0) {
        return Err(EIO);
    }
    let regs = Regs::of(vcpu);
    let len = store.width.bytes();
    trace::mmio_emulate(vcpu.id(), regs.sepc(), insn.raw(), fault.gpa, true, len);

    let data = regs.gpr(store.rs2).to_le_bytes();
    if srcu.mmio_write(fault.gpa, data, len) {
        vcpu.count(vcpu_counter!(mmio_exit_kernel));
        regs.skip(store.len);
        return Ok(Next::Enter);
    }
    vcpu.count(vcpu_counter!(mmio_exit_user));
    let data = data.get(..len).ok_or(EINVAL)?;
    completion::ask_store(vcpu, store, fault.gpa, data);
    Ok(Next::Return)
}
