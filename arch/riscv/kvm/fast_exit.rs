// SPDX-License-Identifier: GPL-2.0

//! Exits that are over before the kernel takes notice of them.
//!
//! What a guest does most often takes nothing but its own registers and those of the hart. That is
//! done inside of the world switch: for the rest of the kernel the guest has run on. It is always a
//! part of what [`exit`](crate::exit) would do, in functions `..._on_hart()` beside those that do all
//! of it.
//!
//! # Why the guest may go on at once
//!
//! Interrupts are disabled, and the vCPU is in guest mode all the time: whoever wants something of it
//! sends an interrupt, by which the guest stops as soon as it is entered. And nothing in here makes a
//! request, gives the thread work to do, or takes the VMID away. So what was looked at before the
//! guest was entered holds.
//!
//! # What may stand here
//!
//! RCU does not watch: only what is inlined, and takes no lock. It is counted, but not traced: while
//! somebody traces, all exits take the long way.

#![deny(unsafe_code)]

use crate::{
    guest_sbi,
    hcsr::exception,
    insn_exit,
    nacl,
    trace,
    Riscv, //
};
use kernel::{
    interrupt::LocalInterruptDisabled,
    kvm::{
        stats::vcpu_counter,
        LoadedVcpu, //
    },
};

/// Handles an exit if it takes nothing but this hart and the state of the vCPU itself. Returns whether
/// it was one, so that the guest can go on.
#[inline(always)]
pub(crate) fn handle(
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
        exception::ECALL_VS => guest_sbi::handle_on_hart(vcpu, hart),
        exception::VIRTUAL_INST => insn_exit::handle_on_hart(vcpu, hart, stval),
        _ => false,
    };
    if handled {
        vcpu.count(vcpu_counter!(exits));
    }
    handled
}
