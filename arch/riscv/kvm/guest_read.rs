// SPDX-License-Identifier: GPL-2.0

//! Reads of the guest's memory as the guest itself would do them: with its translation, its privilege,
//! and with the faults that it would get.

use crate::{
    csr,
    exit::Trap,
    insn::TrapInsn,
    nacl,
    regs::Regs,
    tlb,
    Riscv, //
};
use kernel::{
    bindings,
    kvm::{
        Gva,
        LoadedVcpu,
        PreemptOff, //
    },
    prelude::*, //
};

/// Why nothing was read.
pub(crate) enum ReadError {
    /// The guest itself would have trapped.
    Trap(Trap),
    /// Something has come in between: the guest is to try again what it has been doing.
    Again,
    /// The host cannot read as the guest would.
    Failed(Error),
}

/// Reads the instruction at `pc`, with execute permission.
pub(crate) fn fetch(vcpu: &LoadedVcpu<'_, Riscv>, pc: Gva) -> Result<TrapInsn, ReadError> {
    with_guest_translation(vcpu, |trap| {
        // SAFETY: What `with_guest_translation()` does is what the function asks for. It touches
        // nothing but `trap`.
        unsafe { bindings::__kvm_riscv_rust_fetch(pc.0 as usize, trap) }
    })
    .map(|raw| TrapInsn::fetched(raw as u32))
}

/// Reads eight bytes at `gva`.
pub(crate) fn read(vcpu: &LoadedVcpu<'_, Riscv>, gva: Gva) -> Result<u64, ReadError> {
    with_guest_translation(vcpu, |trap| {
        // SAFETY: As in `fetch()`.
        unsafe { bindings::__kvm_riscv_rust_read(gva.0 as usize, trap) }
    })
    .map(|value| value as u64)
}

/// Runs `f`, one of the functions of `hlv.S`, with interrupts disabled and the guest's HSTATUS and
/// translation in place, which nobody changes meanwhile who waits for the guest's TLB entries to go.
fn with_guest_translation(
    vcpu: &LoadedVcpu<'_, Riscv>,
    f: impl FnOnce(&mut bindings::kvm_cpu_trap) -> usize,
) -> Result<usize, ReadError> {
    let vm_vmid = &vcpu.vm().backend().vmid;
    tlb::work_off_fences(vcpu);
    vm_vmid.ensure();
    vcpu.while_reading(|irq| {
        // SAFETY: Interrupts are disabled, hence preemption.
        let vmid = tlb::prepare_hart(vcpu, unsafe { PreemptOff::assume() });
        if vm_vmid.current() != Some(vmid) || tlb::must_fence_first(vcpu) {
            return Err(ReadError::Again);
        }
        if nacl::available() {
            // The guest's CSRs may have been written to shared memory since it ran: the load
            // depends on them now.
            if let Err(e) = nacl::this_hart(irq).sync() {
                // It would be done with whatever translation is there.
                nacl::warn_once(e);
                return Err(ReadError::Failed(EIO));
            }
        }
        let mut trap = bindings::kvm_cpu_trap::default();
        // The load needs HSTATUS now, so it is written by the instruction even where there is
        // shared memory.
        // SAFETY: Interrupts are disabled, and the host's HSTATUS is put back.
        let value = unsafe {
            let mut host = csr::swap::<{ csr::HSTATUS }>(Regs::of(vcpu).hstatus().into_raw());
            if nacl::available() {
                host = nacl::this_hart(irq).settled_host_hstatus();
            }
            let value = f(&mut trap);
            csr::write::<{ csr::HSTATUS }>(host);
            value
        };
        if trap.scause != 0 {
            return Err(ReadError::Trap(Trap::from_raw(&trap)));
        }
        Ok(value)
    })
}
