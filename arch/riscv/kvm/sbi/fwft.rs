// SPDX-License-Identifier: GPL-2.0

//! Firmware features extension (SBI specification, chapter 18).

use super::call::{
    Answer,
    Call,
    Serve, //
};
use crate::{
    abi::{
        one_reg::FwftFeature,
        sbi::{
            FwftFn,
            FwftId,
            SbiError, //
        }, //
    },
    hart::guest_config,
    mmu::{
        fence_queue::Fence,
        remote_fence, //
    },
    vcpu,
};

pub(super) struct Fwft;

impl Serve for Fwft {
    fn handle(call: &Call<'_>) -> Answer {
        Answer::Return(match FwftFn::from_raw(call.fid) {
            Some(FwftFn::Set) => set(call).map(|()| 0),
            Some(FwftFn::Get) => {
                feature(call).map(|feature| call.vcpu.local().fwft.get().value(feature))
            }
            None => Err(SbiError::NotSupported),
        })
    }
}

/// Returns the feature that the first argument, of 32 bits, names. The guest has it.
fn feature(call: &Call<'_>) -> Result<FwftFeature, SbiError> {
    // Others are reserved, or specific to a platform.
    let id = FwftId::from_raw(call.arg(0) as u32).ok_or(SbiError::Denied)?;
    let feature = match id {
        FwftId::MisalignedExcDeleg => FwftFeature::MisalignedDeleg,
        FwftId::LandingPad => FwftFeature::LandingPad,
        FwftId::ShadowStack => FwftFeature::ShadowStack,
        FwftId::PteAdHwUpdating => FwftFeature::PteAdHwUpdating,
        FwftId::PointerMaskingPmlen => FwftFeature::PointerMasking,
        // No guest has Ssdbltrp.
        FwftId::DoubleTrap => return Err(SbiError::NotSupported),
    };
    let is_there = vcpu::supports_feature(call.vcpu, feature)
        && call.vcpu.local().fwft.get().is_enabled(feature);
    is_there.then_some(feature).ok_or(SbiError::NotSupported)
}

fn set(call: &Call<'_>) -> Result<(), SbiError> {
    let feature = feature(call)?;
    let local = call.vcpu.local();
    let before = local.fwft.get();
    let mut fwft = before;
    fwft.set(guest_config::choices(), feature, call.arg(1), call.arg(2))?;
    local.fwft.set(fwft);
    if fwft.value(feature) != before.value(feature) {
        call.vcpu
            .with_unloaded((), |vcpu, ()| vcpu::update_config(vcpu));
        // What the hart has cached of the guest's page table may be from before.
        remote_fence::queue(call.vcpu, Fence::AllGvas);
    }
    Ok(())
}
