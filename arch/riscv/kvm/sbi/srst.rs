// SPDX-License-Identifier: GPL-2.0

//! System reset extension (SBI specification, chapter 10).

use super::call::{
    Answer,
    Call,
    Serve, //
};
use crate::{
    abi::sbi::{
        ResetReason,
        ResetType,
        SbiError,
        SrstFn, //
    },
    vcpu::power, //
};
use kernel::bindings;

pub(super) struct Srst;

impl Serve for Srst {
    fn handle(call: &Call<'_>) -> Answer {
        let Some(SrstFn::SystemReset) = SrstFn::from_raw(call.fid) else {
            return Answer::error(SbiError::NotSupported);
        };
        let event = match ResetType::from_raw(call.arg(0) as u32) {
            Some(ResetType::Shutdown) => bindings::KVM_SYSTEM_EVENT_SHUTDOWN,
            Some(ResetType::ColdReboot | ResetType::WarmReboot) => bindings::KVM_SYSTEM_EVENT_RESET,
            // Reserved, or specific to a platform.
            _ => return Answer::error(SbiError::InvalidParam),
        };
        // Both are 32 bits wide.
        let reason = call.arg(1) as u32;
        if ResetReason::from_raw(reason).is_none() {
            return Answer::error(SbiError::InvalidParam);
        }
        end(call, event, u64::from(reason))
    }
}

/// Stops all vCPUs, and reports `event`, one of `KVM_SYSTEM_EVENT_*`, to user space.
pub(super) fn end(call: &Call<'_>, event: u32, reason: u64) -> Answer {
    power::stop_all(call.vcpu.vm());
    call.vcpu.run_area().exit_system_event(event, reason);
    Answer::Leave
}
