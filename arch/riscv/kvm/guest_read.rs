// SPDX-License-Identifier: GPL-2.0

//! Reads of the guest's memory as the guest itself would do them: with its translation, its privilege,
//! and with the faults that it would get.

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

/// Reads the instruction at `pc`, with execute permission.
pub(crate) fn fetch(vcpu: &LoadedVcpu<'_, Riscv>, pc: Gva) -> Result<TrapInsn, Trap> {
    // SAFETY: The function reads instructions, as `pc` may have it.
    unsafe { read_by(vcpu, bindings::__kvm_riscv_rust_fetch, pc) }
        .map(|raw| TrapInsn::fetched(raw as u32))
}

/// Reads eight bytes at `gva`.
pub(crate) fn read(vcpu: &LoadedVcpu<'_, Riscv>, gva: Gva) -> Result<u64, Trap> {
    // SAFETY: The function reads memory, as `gva` may have it.
    unsafe { read_by(vcpu, bindings::__kvm_riscv_rust_read, gva) }
}

/// Calls one of the functions of `hlv.S`.
///
/// # Safety
///
/// `f` must be one of them.
unsafe fn read_by(
    vcpu: &LoadedVcpu<'_, Riscv>,
    f: unsafe extern "C" fn(usize, *mut bindings::kvm_cpu_trap) -> usize,
    gva: Gva,
) -> Result<u64, Trap> {
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
        let value = unsafe {
            let host = csr::swap::<{ csr::HSTATUS }>(hstatus.into_raw());
            let value = f(gva.0 as usize, &mut trap);
            csr::write::<{ csr::HSTATUS }>(host);
            value
        };
        if trap.scause != 0 {
            return Err(Trap::from_raw(&trap));
        }
        Ok(value as u64)
    })
}
