// SPDX-License-Identifier: GPL-2.0

//! IPI extension (SBI specification, chapter 7).

use super::{
    call::{
        Answer,
        Call,
        Serve, //
    },
    harts, //
};
use crate::{
    abi::sbi::{
        FirmwareEvent,
        HartMask,
        IpiFn,
        SbiError, //
    },
    hart::csr::VsInterrupt,
    vcpu::interrupts, //
};
use kernel::{
    interrupt::LocalInterruptDisabled,
    kvm::PreemptOff, //
};

pub(super) struct Ipi;

impl Serve for Ipi {
    /// Sends an IPI of a hart to itself.
    #[inline(always)]
    fn in_switch(call: &Call<'_>, irq: &LocalInterruptDisabled) -> Option<u64> {
        let IpiFn::SendIpi = IpiFn::from_raw(call.fid)?;
        let itself = mask(call).is_only(harts::hartid(call.vcpu));
        // It may have to be counted.
        if !itself || call.vcpu.shared().pmu.counts_firmware() {
            return None;
        }
        interrupts::raise_loaded(irq, VsInterrupt::Software);
        Some(0)
    }

    /// Sends IPIs to a few harts that are found quickly. It waits for none of them.
    fn irqs_off(call: &Call<'_>, _: &PreemptOff) -> Option<Result<u64, SbiError>> {
        let IpiFn::SendIpi = IpiFn::from_raw(call.fid)?;
        harts::are_few(call.vcpu.vm(), mask(call)).then(|| send(call, mask(call)))
    }

    fn handle(call: &Call<'_>) -> Answer {
        match IpiFn::from_raw(call.fid) {
            Some(IpiFn::SendIpi) => Answer::Return(send(call, mask(call))),
            None => Answer::error(SbiError::NotSupported),
        }
    }
}

#[inline(always)]
fn mask(call: &Call<'_>) -> HartMask {
    HartMask::new(call.arg(0), call.arg(1))
}

/// Raises the software interrupt of the harts that exist. Fails if the mask names others.
fn send(call: &Call<'_>, mask: HartMask) -> Result<u64, SbiError> {
    let sent = send_each(call, mask);
    call.vcpu.shared().pmu.count(FirmwareEvent::IpiSent);
    harts::require_all(mask, sent)
}

/// Raises the software interrupt of the harts that exist, and returns how many they are.
pub(super) fn send_each(call: &Call<'_>, mask: HartMask) -> usize {
    let mut sent = 0;
    for vcpu in harts::harts(call.vcpu.vm(), mask) {
        vcpu.shared().pmu.count(FirmwareEvent::IpiReceived);
        interrupts::set(vcpu, VsInterrupt::Software, true);
        sent += 1;
    }
    sent
}
