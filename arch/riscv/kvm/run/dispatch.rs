// SPDX-License-Identifier: GPL-2.0

//! Which exit is handled where, at each stage of [`Handle`].
//!
//! | exit | inside the world switch | interrupts off | handled by |
//! | --- | --- | --- | --- |
//! | interrupt of the host | | | nothing: it has been taken |
//! | ECALL from VS-mode | IPI to itself, timer, most of base | IPI, RFENCE | [`sbi::Ecall`] |
//! | guest page fault | | device | [`GuestPageFault`] |
//! | virtual instruction | WFI with an interrupt pending | CSR, WRS | [`VirtualInstruction`] |
//! | breakpoint | | | [`Breakpoint`] |
//! | exception that is not delegated | | | [`GuestException`] |
//!
//! [`GuestPageFault`]: crate::hart::trap::GuestPageFault

use crate::{
    exits::{
        exception::{
            Breakpoint,
            GuestException, //
        },
        instruction::VirtualInstruction,
        Handle,
        Next, //
    },
    hart::{
        nacl,
        trap::{
            cause,
            Exit,
            Trap, //
        },
    },
    sbi,
    switch::regs::Regs,
    trace,
    Riscv, //
};
use kernel::{
    interrupt::LocalInterruptDisabled,
    kvm::{
        may_log,
        stats::vcpu_counter,
        ExitReason,
        LoadedVcpu,
        PreemptOff, //
    },
    prelude::*, //
};

/// Handles an exit inside the world switch, if it can be: see [`Handle::in_switch`].
///
/// While an exit may be traced, none is handled here.
#[inline(always)]
pub(crate) fn in_switch(
    vcpu: &LoadedVcpu<'_, Riscv>,
    irq: &LocalInterruptDisabled,
    scause: u64,
    stval: u64,
) -> bool {
    // Without SYNC_SRET, shared memory has to be synchronized before the SRET, by a call.
    if trace::is_on() || nacl::sync_csr() && !nacl::sync_sret() {
        return false;
    }
    let handled = match scause {
        cause::ECALL_VS => sbi::Ecall.in_switch(vcpu, irq),
        cause::VIRTUAL_INST => VirtualInstruction { stval }.in_switch(vcpu, irq),
        _ => false,
    };
    if handled {
        vcpu.count(vcpu_counter!(exits));
    }
    handled
}

/// Handles an exit with interrupts disabled, if it can be: see [`Handle::irqs_off`].
///
/// While an exit may be traced, and where spinlocks sleep (PREEMPT_RT), none is handled here.
#[inline]
pub(crate) fn irqs_off(
    vcpu: &LoadedVcpu<'_, Riscv>,
    preempt: &PreemptOff,
    irq: &LocalInterruptDisabled,
    trap: &Trap,
) -> Option<Next> {
    if cfg!(CONFIG_PREEMPT_RT) || trace::is_on() {
        return None;
    }
    let next = match trap.decode() {
        Exit::Ecall => sbi::Ecall.irqs_off(vcpu, preempt, irq),
        Exit::GuestPageFault(fault) => fault.irqs_off(vcpu, preempt, irq),
        Exit::VirtualInstruction => {
            VirtualInstruction { stval: trap.stval }.irqs_off(vcpu, preempt, irq)
        }
        _ => None,
    }?;
    vcpu.count(vcpu_counter!(exits));
    Some(next)
}

/// Handles an exit: see [`Handle::handle`].
pub(crate) fn handle(vcpu: &LoadedVcpu<'_, Riscv>, trap: &Trap) -> Result<Next> {
    let exit = trap.decode();
    if !matches!(exit, Exit::Interrupt) {
        trace::vcpu_exit(vcpu.id(), trap);
    }
    let next = match exit {
        Exit::Interrupt => Ok(Next::Enter),
        Exit::Ecall => sbi::Ecall.handle(vcpu),
        Exit::GuestPageFault(fault) => fault.handle(vcpu),
        Exit::VirtualInstruction => VirtualInstruction { stval: trap.stval }.handle(vcpu),
        Exit::Breakpoint => Breakpoint.handle(vcpu),
        Exit::GuestException => GuestException(trap).handle(vcpu),
        Exit::Unknown => {
            vcpu.run_area().set_exit_reason(ExitReason::Unknown);
            Err(EFAULT)
        }
    };
    if let Err(e) = next {
        // What a signal has ended, and what user space is told in full, is no news for the log.
        if e != EINTR && !vcpu.run_area().is_exit_reason(ExitReason::MemoryFault) {
            report(vcpu, trap, e);
        }
    }
    next
}

/// Logs why a guest cannot go on, unless there are too many such messages.
#[cold]
fn report(vcpu: &LoadedVcpu<'_, Riscv>, trap: &Trap, error: Error) {
    if !may_log() {
        return;
    }
    let regs = Regs::of(vcpu);
    pr_err!(
        "vCPU {} stopped with {:?}: {:x?} sstatus={:x} hstatus={:x}\n",
        vcpu.id().0,
        error,
        trap,
        regs.sstatus().into_raw(),
        regs.hstatus().into_raw(),
    );
}
