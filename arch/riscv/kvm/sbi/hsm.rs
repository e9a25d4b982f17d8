// SPDX-License-Identifier: GPL-2.0

//! Hart state management extension (SBI specification, chapter 9).

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
        HartState,
        HartSuspendType,
        HsmFn,
        SbiError, //
    },
    vcpu::{
        power::{
            self,
            EntryPoint, //
        },
        wait::wait_for_interrupt, //
    },
    Riscv, //
};
use kernel::kvm::{
    Vcpu,
    VcpuId, //
};

pub(super) struct Hsm;

impl Serve for Hsm {
    fn handle(call: &Call<'_>) -> Answer {
        let Some(function) = HsmFn::from_raw(call.fid) else {
            return Answer::error(SbiError::NotSupported);
        };
        Answer::Return(match function {
            HsmFn::HartStart => hart(call).and_then(|target| {
                let entry = EntryPoint {
                    pc: call.arg(1),
                    args: [harts::hartid(target), call.arg(2)],
                };
                power::start(target, entry).map(|()| 0)
            }),
            // If the hart stops, the guest does not see the answer: the hart starts at another
            // address.
            HsmFn::HartStop if power::stop(call.vcpu) => Ok(0),
            HsmFn::HartStop => Err(SbiError::Failed),
            HsmFn::HartGetStatus => hart(call).map(|target| state(target) as u64),
            HsmFn::HartSuspend => return suspend(call),
        })
    }
}

/// Returns the hart that the first argument names.
fn hart<'a>(call: &'a Call<'_>) -> Result<&'a Vcpu<Riscv>, SbiError> {
    u32::try_from(call.arg(0))
        .ok()
        .and_then(|id| call.vcpu.vm().vcpu_by_id(VcpuId(id)))
        .ok_or(SbiError::InvalidParam)
}

fn state(vcpu: &Vcpu<Riscv>) -> HartState {
    if vcpu.shared().power.is_stopped() {
        HartState::Stopped
    } else if vcpu.is_halted() {
        HartState::Suspended
    } else {
        HartState::Started
    }
}

fn suspend(call: &Call<'_>) -> Answer {
    match HartSuspendType::from_raw(call.arg(0) as u32) {
        Some(HartSuspendType::Retentive) => {
            wait_for_interrupt(call.vcpu);
            Answer::DONE
        }
        Some(HartSuspendType::NonRetentive) => Answer::error(SbiError::NotSupported),
        // Reserved, or specific to a platform.
        _ => Answer::error(SbiError::InvalidParam),
    }
}
