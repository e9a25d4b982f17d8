// SPDX-License-Identifier: GPL-2.0

//! Instructions that trap because VS-mode or VU-mode may not use them freely: WFI, WRS, and accesses
//! to CSRs.

#![deny(unsafe_code)]

use crate::{
    abi::{
        insn::{
            decode_system,
            CsrInsn,
            InsnLen,
            System,
            TrapInsn, //
        },
        one_reg::IsaExtId, //
    },
    exits::{
        mmio,
        Next, //
    },
    hart::{
        csr,
        guest_csr::OnHart, //
    },
    switch::{
        guest_load,
        regs::Regs, //
    },
    vcpu::{
        completion,
        exception::{
            inject,
            Exception, //
        },
        interrupts,
        timer, //
    },
    Riscv, //
};
use kernel::{
    interrupt::LocalInterruptDisabled,
    kvm::{
        stats::vcpu_counter,
        LoadedVcpu, //
    },
    prelude::*, //
};

/// Handles a virtual-instruction exception. `stval` is the instruction, if the hart tells it.
pub(crate) fn handle(vcpu: &LoadedVcpu<'_, Riscv>, stval: u64) -> Result<Next> {
    let insn = match TrapInsn::from_stval(stval) {
        Some(insn) => insn,
        None => match mmio::fetch(vcpu) {
            Ok(insn) => insn,
            Err(next) => return next,
        },
    };
    let regs = Regs::of(vcpu);
    let supervisor = regs.sstatus().spp().into_bool();
    match decode_system(insn) {
        // In U-mode, the guest's kernel decides about it.
        Some(System::Wfi) if supervisor => {
            vcpu.count(vcpu_counter!(wfi_exit_stat));
            wait_for_interrupt(vcpu);
            regs.skip(InsnLen::Four);
            Ok(Next::Enter)
        }
        Some(System::Wrs) => {
            vcpu.on_spin(supervisor);
            skip_wrs(vcpu);
            Ok(Next::Enter)
        }
        Some(System::Csr(csr)) => Ok(access_csr(vcpu, insn, csr)),
        _ => Ok(illegal(vcpu, insn)),
    }
}

/// Handles a virtual-instruction exception that takes nothing but this hart and the state of the
/// vCPU itself: a WFI while there is something to do. Returns `false` if it is not such a one: then
/// it is for [`handle`].
#[inline(always)]
pub(crate) fn handle_on_hart(vcpu: &LoadedVcpu<'_, Riscv>, hart: &impl OnHart, stval: u64) -> bool {
    let regs = Regs::of(vcpu);
    if !TrapInsn::is_wfi_in_stval(stval)
        || !regs.sstatus().spp().into_bool()
        || !vcpu.shared().interrupts.pending_on_hart(hart)
    {
        return false;
    }
    vcpu.count(vcpu_counter!(wfi_exit_stat));
    regs.skip(InsnLen::Four);
    true
}

/// Handles a virtual-instruction exception with interrupts disabled, if the instruction takes no wait.
/// It is [`None`] if it does: then nothing is done, and it is for [`handle`].
pub(crate) fn handle_at_once(
    vcpu: &LoadedVcpu<'_, Riscv>,
    irq: &LocalInterruptDisabled,
    stval: u64,
) -> Option<Next> {
    let insn = match TrapInsn::from_stval(stval) {
        Some(insn) => insn,
        None => guest_load::fetch_at_once(vcpu, irq)?,
    };
    match decode_system(insn)? {
        System::Wrs if vcpu.vm().has_few_vcpus() && !vcpu.has_ready_peer() => {
            skip_wrs(vcpu);
            Some(Next::Enter)
        }
        System::Csr(csr) => Some(access_csr(vcpu, insn, csr)),
        _ => None,
    }
}

/// Lets the guest go on after WRS: it may, as nothing tells that what it waits for has not come.
fn skip_wrs(vcpu: &LoadedVcpu<'_, Riscv>) {
    vcpu.count(vcpu_counter!(wrs_exit_stat));
    Regs::of(vcpu).skip(InsnLen::Four);
}

fn illegal(vcpu: &LoadedVcpu<'_, Riscv>, insn: TrapInsn) -> Next {
    inject(vcpu, Exception::illegal_instruction(u64::from(insn.raw())));
    Next::Enter
}

/// Waits for an interrupt of the guest, if there is none.
pub(crate) fn wait_for_interrupt(vcpu: &LoadedVcpu<'_, Riscv>) {
    interrupts::snapshot_loaded(vcpu);
    let shared = vcpu.shared();
    if shared.interrupts.pending() {
        return;
    }
    timer::while_asleep(vcpu, || vcpu.halt());
}

/// Handles an access to a CSR that VS-mode does not have to itself.
fn access_csr(vcpu: &LoadedVcpu<'_, Riscv>, insn: TrapInsn, access: CsrInsn) -> Next {
    const CYCLE: u16 = 0xc00;
    const INSTRET: u16 = 0xc02;

    match access.csr {
        // Without a PMU these two stand still. The base ISA once had them, so software reads them
        // without a question.
        CYCLE | INSTRET if !access.writes() && counter_allowed(vcpu, access.csr - CYCLE) => {
            completion::finish_csr(Regs::of(vcpu), access, 0);
            vcpu.count(vcpu_counter!(csr_exit_kernel));
            Next::Enter
        }
        csr::SEED if vcpu.local().isa.get().has(IsaExtId::Zkr) => {
            vcpu.count(vcpu_counter!(csr_exit_user));
            completion::ask_csr(vcpu, access);
            Next::Return
        }
        _ => illegal(vcpu, insn),
    }
}

/// Returns whether the guest's kernel lets the guest read counter number `counter`: it always may
/// itself.
fn counter_allowed(vcpu: &LoadedVcpu<'_, Riscv>, counter: u16) -> bool {
    Regs::of(vcpu).sstatus().spp().into_bool()
        || vcpu.local().env.get().scounteren & 1 << counter != 0
}
