// SPDX-License-Identifier: GPL-2.0

//! Reads of the guest's instructions as the guest itself would fetch them: with its translation, its
//! privilege, and with the faults that it would get.

use crate::{
    csr,
    exit::Trap,
    insn::TrapInsn,
    nacl,
    regs::Regs,
    Riscv, //
};
use kernel::{
    bindings,
    kvm::{
        context::with_irqs_saved,
        Gva,
        LoadedVcpu, //
    },
};

/// Reads the instruction at `pc`.
pub(crate) fn fetch(vcpu: &LoadedVcpu<'_, Riscv>, pc: Gva) -> Result<TrapInsn, Trap> {
    with_irqs_saved(|irq| {
        if nacl::available() {
            // The guest's CSRs may have been written to shared memory since it ran: the load
            // depends on them now.
            nacl::this_hart(irq).sync_or_warn();
        }
        let mut trap = bindings::kvm_cpu_trap::default();
        let hstatus = Regs::of(vcpu).hstatus();
        // The load needs HSTATUS now, so it is written by the instruction even where there is
        // shared memory.
        // SAFETY: Interrupts are disabled, and the host's HSTATUS is put back. The vCPU is loaded,
        // so the guest's translation is that of this hart. The function touches nothing but `trap`.
        let raw = unsafe {
            let host = csr::swap::<{ csr::HSTATUS }>(hstatus.into_raw());
            let raw = bindings::__kvm_riscv_rust_fetch(pc.0 as usize, &mut trap);
            csr::write::<{ csr::HSTATUS }>(host);
            raw
        };
        if trap.scause != 0 {
            return Err(Trap::from_raw(&trap));
        }
        Ok(TrapInsn::fetched(raw as u32))
    })
}
