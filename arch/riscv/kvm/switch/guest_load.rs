// SPDX-License-Identifier: GPL-2.0

//! Reads of the guest's memory as the guest itself would do them: with its translation, its privilege,
//! and with the faults that it would get.

use crate::{
    abi::insn::TrapInsn,
    hart::{
        csr,
        nacl,
        trap::Trap, //
    },
    mmu::tlb,
    switch::regs::Regs,
    Riscv, //
};
use kernel::{
    bindings,
    interrupt::LocalInterruptDisabled,
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

/// Reads the instruction at the guest's program counter, with execute permission.
pub(crate) fn fetch(vcpu: &LoadedVcpu<'_, Riscv>) -> Result<TrapInsn, ReadError> {
    with_guest_translation(vcpu, fetch_insn(vcpu)).map(|raw| TrapInsn::fetched(raw as u32))
}

/// Does the same soon after an exit, with interrupts disabled: the vCPU is in guest mode, on the hart
/// that was prepared for it. It is [`None`] if something is to be done before, or the guest would trap.
pub(crate) fn fetch_at_once(
    vcpu: &LoadedVcpu<'_, Riscv>,
    irq: &LocalInterruptDisabled,
) -> Option<TrapInsn> {
    // Since then, interrupts have been enabled for a moment.
    let vmid = vcpu.local().hgatp_vmid.get();
    if vcpu.vm().backend().vmid.current() != Some(vmid) || vcpu.request_pending() {
        return None;
    }
    let raw = read_now(vcpu, irq, fetch_insn(vcpu)).ok()?;
    Some(TrapInsn::fetched(raw as u32))
}

/// Reads eight bytes at `gva`.
pub(crate) fn read(vcpu: &LoadedVcpu<'_, Riscv>, gva: Gva) -> Result<u64, ReadError> {
    with_guest_translation(vcpu, |trap| {
        // SAFETY: What `read_now()` does is what the function asks for. It touches nothing but
        // `trap`.
        unsafe { bindings::__kvm_riscv_rust_read(gva.0 as usize, trap) }
    })
    .map(|value| value as u64)
}

fn fetch_insn(vcpu: &LoadedVcpu<'_, Riscv>) -> impl FnOnce(&mut bindings::kvm_cpu_trap) -> usize {
    let pc = Regs::of(vcpu).sepc() as usize;
    // SAFETY: As in `read()`.
    move |trap| unsafe { bindings::__kvm_riscv_rust_fetch(pc, trap) }
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
        read_now(vcpu, irq, f)
    })
}

/// Runs `f`, one of the functions of `hlv.S`, with the guest's HSTATUS. Its translation is in place.
fn read_now(
    vcpu: &LoadedVcpu<'_, Riscv>,
    irq: &LocalInterruptDisabled,
    f: impl FnOnce(&mut bindings::kvm_cpu_trap) -> usize,
) -> Result<usize, ReadError> {
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
}
