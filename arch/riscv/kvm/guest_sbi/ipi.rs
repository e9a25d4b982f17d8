// SPDX-License-Identifier: GPL-2.0

//! IPI extension (SBI specification, chapter 7).

use super::{
    Answer,
    Call, //
};
use crate::{
    csr::VsInterrupt,
    hcsr::OnHart,
    interrupts,
    sbi_abi::{
        HartMask,
        IpiFn,
        SbiError, //
    },
    vm, //
};

/// An IPI of a hart to itself.
#[inline(always)]
pub(super) fn on_hart(call: &Call<'_>, hart: &impl OnHart) -> Option<u64> {
    let IpiFn::SendIpi = IpiFn::from_raw(call.fid)?;
    if !HartMask::new(call.arg(0), call.arg(1)).is_only(vm::hartid(call.vcpu)) {
        return None;
    }
    interrupts::raise_on_hart(hart, VsInterrupt::Software);
    Some(0)
}

pub(super) fn handle(call: &Call<'_>) -> Answer {
    Answer::Return(at_once(call).unwrap_or(Err(SbiError::NotSupported)))
}

/// An IPI, which waits for no hart that gets it.
pub(super) fn at_once(call: &Call<'_>) -> Option<Result<u64, SbiError>> {
    match IpiFn::from_raw(call.fid)? {
        IpiFn::SendIpi => Some(send(call, HartMask::new(call.arg(0), call.arg(1)))),
    }
}

/// Raises the software interrupt of the harts that there are; an error tells of the others.
fn send(call: &Call<'_>, harts: HartMask) -> Result<u64, SbiError> {
    let mut sent = 0;
    for vcpu in vm::harts(call.vcpu.vm(), harts) {
        interrupts::set(vcpu, VsInterrupt::Software, true);
        sent += 1;
    }
    match harts.count() {
        Some(count) if count != sent => Err(SbiError::InvalidParam),
        _ => Ok(0),
    }
}
