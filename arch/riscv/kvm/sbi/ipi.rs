// SPDX-License-Identifier: GPL-2.0

//! IPI extension (SBI specification, chapter 7).

use super::{
    Answer,
    Call, //
};
use crate::{
    abi::sbi::{
        HartMask,
        IpiFn,
        SbiError, //
    },
    hart::{
        csr::VsInterrupt,
        guest_csr::OnHart, //
    },
    vcpu::interrupts,
    vm, //
};

/// An IPI of a hart to itself.
#[inline(always)]
pub(super) fn on_hart(call: &Call<'_>, hart: &impl OnHart) -> Option<u64> {
    let IpiFn::SendIpi = IpiFn::from_raw(call.fid)?;
    if !harts(call).is_only(vm::hartid(call.vcpu)) {
        return None;
    }
    interrupts::raise_on_hart(hart, VsInterrupt::Software);
    Some(0)
}

pub(super) fn handle(call: &Call<'_>) -> Answer {
    match IpiFn::from_raw(call.fid) {
        Some(IpiFn::SendIpi) => Answer::Return(send(call, harts(call))),
        None => Answer::error(SbiError::NotSupported),
    }
}

/// An IPI to harts that are soon found. It waits for none of them.
pub(super) fn at_once(call: &Call<'_>) -> Option<Result<u64, SbiError>> {
    let IpiFn::SendIpi = IpiFn::from_raw(call.fid)?;
    vm::are_near(call.vcpu.vm(), harts(call)).then(|| send(call, harts(call)))
}

#[inline(always)]
fn harts(call: &Call<'_>) -> HartMask {
    HartMask::new(call.arg(0), call.arg(1))
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
