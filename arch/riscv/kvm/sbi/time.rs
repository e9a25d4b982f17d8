// SPDX-License-Identifier: GPL-2.0

//! Timer extension (SBI specification, chapter 6).

use super::call::{
    Answer,
    Call,
    Serve, //
};
use crate::{
    abi::sbi::{
        FirmwareEvent,
        SbiError,
        TimeFn, //
    },
    vcpu::timer, //
};
use kernel::interrupt::LocalInterruptDisabled;

pub(super) struct Time;

impl Serve for Time {
    /// Sets the timer if it is a register of the hart (Sstc).
    #[inline(always)]
    fn in_switch(call: &Call<'_>, irq: &LocalInterruptDisabled) -> Option<u64> {
        match TimeFn::from_raw(call.fid)? {
            // It may have to be counted.
            TimeFn::SetTimer if call.vcpu.shared().pmu.counts_firmware() => None,
            TimeFn::SetTimer => timer::set_loaded(irq, call.arg(0)).then_some(0),
        }
    }

    fn handle(call: &Call<'_>) -> Answer {
        match TimeFn::from_raw(call.fid) {
            Some(TimeFn::SetTimer) => {
                set_timer(call);
                Answer::DONE
            }
            None => Answer::error(SbiError::NotSupported),
        }
    }
}

/// Sets the timer to the first argument.
pub(super) fn set_timer(call: &Call<'_>) {
    call.vcpu.shared().pmu.count(FirmwareEvent::SetTimer);
    timer::set(call.vcpu, call.arg(0));
}
