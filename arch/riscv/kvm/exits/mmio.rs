// SPDX-License-Identifier: GPL-2.0

//! Accesses to devices, that is, to guest physical addresses without memory.

use crate::{
    abi::insn::{
        decode_address,
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
    irqchip::{
        self,
        Device,
        REG_LEN, //
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
            Htinst::Transformed { insn, offset: 0 } => insn,
            Htinst::Transformed { .. } | Htinst::PageTableWalk { .. } => return None,
            Htinst::Unknown => self.check(vcpu, guest_memory::fetch_irqs_off(vcpu, irq)?)?,
        };
        match irqchip::at(vcpu.vm(), self.fault.gpa) {
            // While interrupts are disabled, no more than a few vCPUs are visited.
            Some(device) if device.may_send_many() => None,
            Some(device) => self.access_register(vcpu, insn, device),
            None => self.emulate(vcpu, insn),
        }
    }

    /// Handles all accesses.
    ///
    /// Whatever is not an aligned load or store of a general-purpose register gets the access fault
    /// that a bus answers with: fetches, walks of the guest's own page table, misaligned accesses,
    /// AMOs, and accesses by floating-point, vector and cache-block instructions.
    fn handle(&self, vcpu: &LoadedVcpu<'_, Riscv>) -> Result<Next> {
        let insn = match (self.fault.access, Htinst::decode(self.fault.htinst)) {
            (Access::Fetch, _) | (_, Htinst::PageTableWalk { .. }) => None,
            (_, Htinst::Transformed { insn, offset }) => (offset == 0).then_some(insn),
            (_, Htinst::Unknown) => match guest_memory::fetch(vcpu) {
                Ok(insn) => self.check(vcpu, insn),
                Err(next) => return next,
            },
        };
        let device = irqchip::at(vcpu.vm(), self.fault.gpa);
        Ok(insn
            .and_then(|insn| match device {
                Some(device) => self.access_register(vcpu, insn, device),
                None => self.emulate(vcpu, insn),
            })
            .unwrap_or_else(|| {
                inject(
                    vcpu,
                    Exception::access_fault(self.fault.access, self.fault.gva.0),
                );
                Next::Enter
            }))
    }
}

impl DeviceAccess<'_> {
    /// Returns the instruction, which has been fetched, if its access begins at the address that
    /// has faulted.
    ///
    /// An access that begins in memory, and reaches a device behind it, faults at the first address
    /// of the device, which is aligned even though the access is not.
    fn check(&self, vcpu: &LoadedVcpu<'_, Riscv>, insn: TrapInsn) -> Option<TrapInsn> {
        decode_address(insn)?
            .begins_at(self.fault.gva.0, |gpr| Regs::of(vcpu).gpr(gpr))
            .then_some(insn)
    }

    /// Emulates a load or store. Returns [`None`], having done nothing, if the access is none of a
    /// device.
    fn emulate(&self, vcpu: &LoadedVcpu<'_, Riscv>, insn: TrapInsn) -> Option<Next> {
        match self.fault.access {
            Access::Load => load(vcpu, self.srcu, self.fault, insn),
            _ => store(vcpu, self.srcu, self.fault, insn),
        }
    }

    /// Emulates a load or store at the address of a register of the interrupt controller, as
    /// [`emulate`](Self::emulate) does. One of another length is none of the register.
    #[inline(never)]
    fn access_register(
        &self,
        vcpu: &LoadedVcpu<'_, Riscv>,
        insn: TrapInsn,
        device: Device<'_>,
    ) -> Option<Next> {
        let regs = Regs::of(vcpu);
        let gpa = self.fault.gpa;
        let trace = |writes| {
            trace::mmio_emulate(vcpu.id(), regs.sepc(), insn.raw(), gpa, writes, REG_LEN);
            vcpu.count(vcpu_counter!(mmio_exit_kernel));
        };
        if self.fault.access == Access::Load {
            let load = decode_load(insn)?;
            if load.width.bytes() != REG_LEN || !load.width.is_aligned(gpa.0) {
                return self.emulate(vcpu, insn);
            }
            trace(false);
            completion::finish_load(regs, load, u64::from(device.load()).to_le_bytes());
        } else {
            let store = decode_store(insn)?;
            if store.width.bytes() != REG_LEN || !store.width.is_aligned(gpa.0) {
                return self.emulate(vcpu, insn);
            }
            trace(true);
            let data = regs.gpr(store.rs2);
            regs.skip(store.len);
            device.store(vcpu.vm(), data as u32);
        }
        Some(Next::Enter)
    }
}

fn load(
    vcpu: &LoadedVcpu<'_, Riscv>,
    srcu: &SrcuGuard<'_, Riscv>,
    fault: &GuestPageFault,
    insn: TrapInsn,
) -> Option<Next> {
    let load = decode_load(insn)?;
    if !load.width.is_aligned(fault.gpa.0) {
        return None;
    }
    let regs = Regs::of(vcpu);
    let len = load.width.bytes();
    trace::mmio_emulate(vcpu.id(), regs.sepc(), insn.raw(), fault.gpa, false, len);

    let mut data = [0; 8];
    if srcu.mmio_read(fault.gpa, data.get_mut(..len)?) {
        vcpu.count(vcpu_counter!(mmio_exit_kernel));
        completion::finish_load(regs, load, data);
        return Some(Next::Enter);
    }
    vcpu.count(vcpu_counter!(mmio_exit_user));
    completion::ask_load(vcpu, load, fault.gpa);
    Some(Next::Return)
}

fn store(
    vcpu: &LoadedVcpu<'_, Riscv>,
    srcu: &SrcuGuard<'_, Riscv>,
    fault: &GuestPageFault,
    insn: TrapInsn,
) -> Option<Next> {
    let store = decode_store(insn)?;
    if !store.width.is_aligned(fault.gpa.0) {
        return None;
    }
    let regs = Regs::of(vcpu);
    let len = store.width.bytes();
    trace::mmio_emulate(vcpu.id(), regs.sepc(), insn.raw(), fault.gpa, true, len);

    let data = regs.gpr(store.rs2).to_le_bytes();
    if srcu.mmio_write(fault.gpa, data, len) {
        vcpu.count(vcpu_counter!(mmio_exit_kernel));
        regs.skip(store.len);
        return Some(Next::Enter);
    }
    vcpu.count(vcpu_counter!(mmio_exit_user));
    let data = data.get(..len)?;
    completion::ask_store(vcpu, store, fault.gpa, data);
    Some(Next::Return)
}
