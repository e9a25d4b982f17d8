// SPDX-License-Identifier: GPL-2.0

//! System suspend extension (SBI specification, chapter 13).

use super::call::{
    Answer,
    Call,
    Serve, //
};
use crate::{
    abi::sbi::{
        SbiError,
        SleepType,
        SuspFn, //
    },
    hart::csr::VsInterrupt,
    sbi::harts,
    vcpu::{
        completion::Completion,
        interrupts,
        power::{
            self,
            EntryPoint, //
        }, //
    },
};
use kernel::kvm::Gpa;

pub(super) struct Susp;

impl Serve for Susp {
    /// User space decides what to suspend, and runs the vCPU when it is to wake up: the hart then
    /// begins at the address that it has given. User space can read and save the state in which the
    /// hart begins as soon as it gets the call.
    fn handle(call: &Call<'_>) -> Answer {
        let Some(SuspFn::SystemSuspend) = SuspFn::from_raw(call.fid) else {
            return Answer::error(SbiError::NotSupported);
        };
        // The type is 32 bits wide. Others are reserved, or specific to a platform.
        let Some(SleepType::SuspendToRam) = SleepType::from_raw(call.arg(0) as u32) else {
            return Answer::error(SbiError::InvalidParam);
        };
        let entry = EntryPoint {
            pc: call.arg(1),
            args: [harts::hartid(call.vcpu), call.arg(2)],
        };
        if !has_memory(call, Gpa(entry.pc)) {
            return Answer::error(SbiError::InvalidAddress);
        }
        if let Err(e) = power::suspend_system(call.vcpu, entry) {
            return Answer::error(e);
        }
        // The external interrupt is a wire, and stays: it may be what the system wakes up for.
        interrupts::clear(call.vcpu, VsInterrupt::Software);
        // The guest does not see an answer: the hart begins at another address.
        Answer::AskUser(Completion::None)
    }
}

/// Returns whether the guest has memory at `gpa`.
fn has_memory(call: &Call<'_>, gpa: Gpa) -> bool {
    let srcu = call.vcpu.srcu_read_lock();
    let slot = srcu.memslot(gpa.gfn());
    slot.is_some_and(|slot| !slot.is_invalid())
}
