// SPDX-License-Identifier: GPL-2.0

//! Exits that are over before the kernel takes notice of them, or before it enables interrupts.
//!
//! Both are a part of what [`exit`](crate::exits) would do, in functions beside those that do all of
//! it. They are counted, but not traced: while somebody traces, all exits take the long way.
//!
//! # On the hart
//!
//! What a guest does most often takes nothing but its own registers and those of the hart. That is
//! done inside of the world switch ([`handle_on_hart`]): for the rest of the kernel the guest has run
//! on. RCU does not watch there: only what is inlined, and takes no lock.
//!
//! # At once
//!
//! What takes no wait is done when the kernel knows again that it runs, with interrupts disabled
//! ([`handle_at_once`]): accesses to devices and CSRs, WRS with nobody to yield to, and what other
//! vCPUs that are not in the guest need not be interrupted for. All locks that are taken are
//! spinlocks, under which nobody waits for another hart: `mmu_lock` is not among them, whose holder
//! may wait for this one to leave the guest.
//!
//! # Why the guest may go on
//!
//! The vCPU is in guest mode all the time: the first who wants something of it sends an interrupt, by
//! which the guest stops as soon as it is entered. On the hart, no interrupt is taken, and nothing
//! makes a request, gives the thread work to do, or takes the VMID away, so what was looked at before
//! the guest was entered holds. All else may: ahead of it, interrupts are enabled for a moment, and
//! what this hart does itself comes without one. So after it all is looked at again, and whether
//! somebody has sent that first interrupt.

#![deny(unsafe_code)]

use crate::{
    exits::{
        instruction,
        page_fault,
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
    trace,
    Riscv, //
};
use kernel::{
    interrupt::LocalInterruptDisabled,
    kvm::{
        stats::vcpu_counter,
        LoadedVcpu,
        PreemptOff, //
    },
};

/// Handles an exit if it takes nothing but this hart and the state of the vCPU itself. Returns whether
/// it was one, so that the guest can go on.
#[inline(always)]
pub(crate) fn handle_on_hart(
    vcpu: &LoadedVcpu<'_, Riscv>,
    hart: &LocalInterruptDisabled,
    scause: u64,
    stval: u64,
) -> bool {
    // Where shared memory would have to be synchronized before the SRET, that takes a call.
    if trace::is_on() || nacl::sync_csr() && !nacl::sync_sret() {
        return false;
    }
    let handled = match scause {
        cause::ECALL_VS => sbi::handle_on_hart(vcpu, hart),
        cause::VIRTUAL_INST => instruction::handle_on_hart(vcpu, hart, stval),
        _ => false,
    };
    if handled {
        vcpu.count(vcpu_counter!(exits));
    }
    handled
}

/// Handles an exit if it takes no wait, with interrupts disabled, on a hart that was prepared for the
/// guest. It is [`None`] if it does: then nothing is done that may not be done again.
#[inline]
pub(crate) fn handle_at_once(
    vcpu: &LoadedVcpu<'_, Riscv>,
    preempt: &PreemptOff,
    irq: &LocalInterruptDisabled,
    trap: &Trap,
) -> Option<Next> {
    // With PREEMPT_RT, spinlocks sleep.
    if cfg!(CONFIG_PREEMPT_RT) || trace::is_on() {
        return None;
    }
    let next = match trap.decode() {
        Exit::GuestPageFault(fault) => page_fault::handle_at_once(vcpu, irq, &fault)?,
        Exit::VirtualInstruction => instruction::handle_at_once(vcpu, irq, trap.stval)?,
        Exit::Ecall if sbi::handle_at_once(vcpu, preempt) => Next::Enter,
        _ => return None,
    };
    vcpu.count(vcpu_counter!(exits));
    Some(next)
}
