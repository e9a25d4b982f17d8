// SPDX-License-Identifier: GPL-2.0

//! Base extension (SBI specification, chapter 4).

use super::{
    find,
    Answer,
    Call,
    Extension, //
};
use crate::{
    pending::Pending,
    sbi_abi::{
        spec_version,
        BaseFn,
        SbiError,
        IMPL_ID_KVM, //
    },
};
use kernel::bindings;

pub(super) fn handle(call: &Call<'_>) -> Answer {
    let local = call.vcpu.local();
    let machine = local.machine.get();
    let Some(function) = BaseFn::from_raw(call.fid) else {
        return Answer::error(SbiError::NotSupported);
    };
    Answer::Return(Ok(match function {
        BaseFn::GetSpecVersion => spec_version(3, 0),
        BaseFn::GetImplId => IMPL_ID_KVM,
        BaseFn::GetImplVersion => u64::from(bindings::LINUX_VERSION_CODE),
        BaseFn::ProbeExtension => {
            let found = find(local.sbi.get(), call.arg(0));
            if found == Some(Extension::UserRange) {
                return Answer::AskUser(Pending::Sbi);
            }
            u64::from(found.is_some())
        }
        BaseFn::GetMvendorid => machine.mvendorid,
        BaseFn::GetMarchid => machine.marchid,
        BaseFn::GetMimpid => machine.mimpid,
    }))
}
