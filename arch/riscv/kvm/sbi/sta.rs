// SPDX-License-Identifier: GPL-2.0

//! Steal-time accounting extension (SBI specification, chapter 16).

use super::call::{
    Answer,
    Call,
    Serve, //
};
use crate::{
    abi::sbi::{
        SbiError,
        StaFn,
        SHMEM_DISABLE, //
    },
    vcpu::sta::{
        self,
        StealTime, //
    },
};
use kernel::kvm::Gpa;

pub(super) struct Sta;

impl Serve for Sta {
    fn handle(call: &Call<'_>) -> Answer {
        Answer::Return(match StaFn::from_raw(call.fid) {
            Some(StaFn::SetShmem) => set_shmem(call).map(|()| 0),
            None => Err(SbiError::NotSupported),
        })
    }
}

fn set_shmem(call: &Call<'_>) -> Result<(), SbiError> {
    let (low, high) = (call.arg(0), call.arg(1));
    // The flags, of 32 bits, are all reserved.
    if call.arg(2) as u32 != 0 {
        return Err(SbiError::InvalidParam);
    }
    if (low, high) == (SHMEM_DISABLE, SHMEM_DISABLE) {
        sta::end(call.vcpu);
        return Ok(());
    }
    if low % StealTime::ALIGN != 0 {
        return Err(SbiError::InvalidParam);
    }
    // An address has 64 bits at most.
    if high != 0 {
        return Err(SbiError::InvalidAddress);
    }
    sta::begin(call.vcpu, Gpa(low)).map_err(|_| SbiError::InvalidAddress)
}
