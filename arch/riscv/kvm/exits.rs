// SPDX-License-Identifier: GPL-2.0

//! Exits: what made the guest stop, decoded once, and what to do about it.

#![deny(unsafe_code)]

pub(crate) mod instruction;
pub(crate) mod mmio;
pub(crate) mod page_fault;

use crate::{
    hart::trap::{
        cause,
        Exit,
        Trap, //
    },
    sbi,
    switch::regs::Regs,
    trace,
    vcpu::exception::{
        inject,
        Exception, //
    },
    Riscv, //
};
use kernel::{
    kvm::{
        stats::vcpu_counter,
        ExitReason,
        LoadedVcpu, //
    },
    prelude::*, //
};

/// What is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Enter the guest again.
    Enter,
    /// Return to user space, which the run area tells why.
    Return,
}

/// Handles an exit.
pub(crate) fn handle(vcpu: &LoadedVcpu<'_, Riscv>, trap: &Trap) -> Result<Next> {
    let exit = trap.decode();
    if !matches!(exit, Exit::Interrupt) {
        trace::vcpu_exit(vcpu.id(), trap);
    }
    let next = match exit {
        Exit::Interrupt => Ok(Next::Enter),
        Exit::Ecall => sbi::handle(vcpu),
        Exit::GuestPageFault(fault) => page_fault::handle(vcpu, &fault),
        Exit::VirtualInstruction => instruction::handle(vcpu, trap.stval),
        Exit::Breakpoint => {
            vcpu.run_area().set_exit_reason(ExitReason::Debug);
            Ok(Next::Return)
        }
        Exit::GuestException => {
            count(vcpu, trap.scause);
            inject(vcpu, Exception::of_trap(trap));
            Ok(Next::Enter)
        }
        Exit::Unknown => {
            vcpu.run_area().set_exit_reason(ExitReason::Unknown);
            Err(EFAULT)
        }
    };
    if let Err(e) = next {
        if e != EINTR {
            report(vcpu, trap, e);
        }
    }
    next
}

/// Counts an exception of the guest.
fn count(vcpu: &LoadedVcpu<'_, Riscv>, scause: u64) {
    vcpu.count(match scause {
        cause::INST_ILLEGAL => vcpu_counter!(instr_illegal_exits),
        cause::LOAD_MISALIGNED => vcpu_counter!(load_misaligned_exits),
        cause::STORE_MISALIGNED => vcpu_counter!(store_misaligned_exits),
        cause::LOAD_ACCESS => vcpu_counter!(load_access_exits),
        cause::STORE_ACCESS => vcpu_counter!(store_access_exits),
        _ => return,
    });
}

/// Tells the log of a guest that cannot go on. At the debug level: any user of `/dev/kvm` can make
/// as many of these as it likes.
#[cold]
fn report(vcpu: &LoadedVcpu<'_, Riscv>, trap: &Trap, error: Error) {
    let regs = Regs::of(vcpu);
    pr_debug!(
        "vCPU {} stopped with {:?}: {:x?} sstatus={:x} hstatus={:x}\n",
        vcpu.id().0,
        error,
        trap,
        regs.sstatus().into_raw(),
        regs.hstatus().into_raw(),
    );
}
