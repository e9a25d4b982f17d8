// SPDX-License-Identifier: GPL-2.0

//! Timer extension (SBI specification, chapter 6).

use super::{
    Answer,
    Call, //
};
use crate::{
    sbi_abi::{
        SbiError,
        TimeFn, //
    },
    timer, //
};

pub(super) fn handle(call: &Call<'_>) -> Answer {
    match TimeFn::from_raw(call.fid) {
        Some(TimeFn::SetTimer) => {
            timer::set(call.vcpu, call.arg(0));
            Answer::DONE
        }
        None => Answer::error(SbiError::NotSupported),
    }
}
