// SPDX-License-Identifier: GPL-2.0

//! Accesses to devices, that is, to guest physical addresses without memory.

use crate::{
    abi::insn::{
        decode_load,
        decode_store,
        Htinst,
        TrapInsn, //
    },
    exits::{
        guest_memory,
        Handle,
        Next, //
    },
    hart::trap::{
        Access,
        GuestPageFault, //
    },
    switch::regs::Regs,
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
        PreemptOff,
        SrcuGuard, //
    },
    prelude::*, //
};

/// An access to a guest physical address without memory.
pub(crate) struct DeviceAccess<'a> {
    /// The SRCU section in which no memslot was found at the address.
    pub(crate) srcu: &'a SrcuGuard<'a, Riscv>,
    /// The guest page fault.
    pub(crate) fault: &'a GuestPageFault,
}

impl Handle for DeviceAccess<'_> {
    /// Handles plain loads and stores.
    #[inline(always)]
    fn irqs_off(
        &self,
        vcpu: &LoadedVcpu<'_, Riscv>,
        _: &PreemptOff,
        irq: &LocalInterruptDisabled,
    ) -> Option<Next> {
        if self.fault.access == Access::Fetch {
            return None;
        }
        let insn = match Htinst::decode(self.fault.htinst) {
            Htinst::Transformed(insn) => insn,
            Htinst::PageTableWalk { .. } => return None,
            Htinst::Unknown => guest_memory::fetch_irqs_off(vcpu, irq)?,
        };
        self.emulate(vcpu, insn).ok()
    }

    /// Handles all accesses.
    ///
    /// A fetch, and a walk of the guest's own page table, get the access fault that the bus would
    /// answer with.
    ///
    /// # Errors
    ///
    /// As user space knows them from KVM on RISC-V: [`EIO`] for an access that is not aligned, and
    /// [`EOPNOTSUPP`] for an instruction that is not a plain load or store, such as an AMO.
    fn handle(&self, vcpu: &LoadedVcpu<'_, Riscv>) -> Result<Next> {
        let refused = || {
            inject(
                vcpu,
                Exception::access_fault(self.fault.access, self.fault.gva.0),
            );
            Ok(Next::Enter)
        };
        if self.fault.access == Access::Fetch {
            return refused();
        }
        let insn = match Htinst::decode(self.fault.htinst) {
            Htinst::Transformed(insn) => insn,
            Htinst::PageTableWalk { .. } => return refused(),
            Htinst::Unknown => match guest_memory::fetch(vcpu) {
                Ok(insn) => insn,
                Err(next) => return next,
            },
        };
        self.emulate(vcpu, insn)
    }
}

impl DeviceAccess<'_> {
    /// Emulates a load or store. Nothing has been done if the result is an error.
    fn emulate(&self, vcpu: &LoadedVcpu<'_, Riscv>, insn: TrapInsn) -> Result<Next> {
        match self.fault.access {
            Access::Load => load(vcpu, self.srcu, self.fault, insn),
            _ => store(vcpu, self.srcu, self.fault, insn),
        }
    }
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
