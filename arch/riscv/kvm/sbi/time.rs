// SPDX-License-Identifier: GPL-2.0

//! Timer extension (SBI specification, chapter 6).

use super::{
    Answer,
    Call, //
};
use crate::{
    abi::sbi::{
        SbiError,
        TimeFn, //
    },
    hart::guest_csr::OnHart,
    vcpu::timer, //
};

/// With Sstc, the timer is a register of the hart.
#[inline(always)]
pub(super) fn on_hart(call: &Call<'_>, hart: &impl OnHart) -> Option<u64> {
    match TimeFn::from_raw(call.fid)? {
        TimeFn::SetTimer => timer::set_on_hart(hart, call.arg(0)).then_some(0),
    }
}

pub(super) fn handle(call: &Call<'_>) -> Answer {
    match TimeFn::from_raw(call.fid) {
        Some(TimeFn::SetTimer) => {
            timer::set(call.vcpu, call.arg(0));
            Answer::DONE
        }
        None => Answer::error(SbiError::NotSupported),
    }
}
