// SPDX-License-Identifier: GPL-2.0

//! Base extension (SBI specification, chapter 4).

use super::{
    call::{
        Answer,
        Call,
        Serve, //
    },
    extension::{
        find,
        Extension, //
    },
};
use crate::{
    abi::sbi::{
        spec_version,
        BaseFn,
        SbiError,
        IMPL_ID_KVM, //
    },
    vcpu::completion::Completion, //
};
use kernel::{
    bindings,
    interrupt::LocalInterruptDisabled, //
};

pub(super) struct Base;

impl Serve for Base {
    /// Serves every function except [`BaseFn::ProbeExtension`].
    #[inline(always)]
    fn in_switch(call: &Call<'_>, _: &LocalInterruptDisabled) -> Option<u64> {
        value(call)
    }

    fn handle(call: &Call<'_>) -> Answer {
        if let Some(value) = value(call) {
            return Answer::Return(Ok(value));
        }
        match BaseFn::from_raw(call.fid) {
            Some(BaseFn::ProbeExtension) => probe(call),
            _ => Answer::error(SbiError::NotSupported),
        }
    }
}

/// Returns the value of a function that needs no more than the vCPU's own state.
#[inline(always)]
fn value(call: &Call<'_>) -> Option<u64> {
    let machine = call.vcpu.local().machine.get();
    Some(match BaseFn::from_raw(call.fid)? {
        BaseFn::GetSpecVersion => spec_version(3, 0),
        BaseFn::GetImplId => IMPL_ID_KVM,
        BaseFn::GetImplVersion => u64::from(bindings::LINUX_VERSION_CODE),
        BaseFn::ProbeExtension => return None,
        BaseFn::GetMvendorid => machine.mvendorid,
        BaseFn::GetMarchid => machine.marchid,
        BaseFn::GetMimpid => machine.mimpid,
    })
}

fn probe(call: &Call<'_>) -> Answer {
    let found = find(call.vcpu.local().sbi.get(), call.arg(0));
    if found == Some(Extension::UserRange) {
        return Answer::AskUser(Completion::Sbi);
    }
    Answer::Return(Ok(u64::from(found.is_some())))
}
