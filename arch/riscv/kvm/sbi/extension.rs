// SPDX-License-Identifier: GPL-2.0

//! Which extension serves a call.

use crate::{
    abi::{
        one_reg::SbiExtId,
        sbi::{
            ExtensionId,
            Legacy,
            Standard, //
        },
    },
    vcpu::sbi_ext::SbiExtensions, //
};

/// The extension that serves a call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Extension {
    Legacy(Legacy),
    Base,
    Time,
    Ipi,
    Rfence,
    Hsm,
    Srst,
    Susp,
    Fwft,
    Sta,
    Pmu,
    /// An extension that user space serves.
    User,
    /// An extension of a range that user space serves. Only user space knows which of them it has.
    UserRange,
}

/// Returns the extension with number `eid`, if the guest has it.
pub(super) fn find(enabled: SbiExtensions, eid: u64) -> Option<Extension> {
    let (id, extension) = match ExtensionId::from_eid(eid)? {
        ExtensionId::Legacy(_) if !cfg!(CONFIG_RISCV_SBI_V01) => return None,
        ExtensionId::Legacy(function) => (SbiExtId::V01, Extension::Legacy(function)),
        // Every SBI has this one.
        ExtensionId::Standard(Standard::Base) => return Some(Extension::Base),
        ExtensionId::Standard(Standard::Time) => (SbiExtId::Time, Extension::Time),
        ExtensionId::Standard(Standard::Ipi) => (SbiExtId::Ipi, Extension::Ipi),
        ExtensionId::Standard(Standard::Rfence) => (SbiExtId::Rfence, Extension::Rfence),
        ExtensionId::Standard(Standard::Hsm) => (SbiExtId::Hsm, Extension::Hsm),
        ExtensionId::Standard(Standard::Srst) => (SbiExtId::Srst, Extension::Srst),
        ExtensionId::Standard(Standard::Susp) => (SbiExtId::Susp, Extension::Susp),
        ExtensionId::Standard(Standard::Fwft) => (SbiExtId::Fwft, Extension::Fwft),
        ExtensionId::Standard(Standard::Sta) => (SbiExtId::Sta, Extension::Sta),
        ExtensionId::Standard(Standard::Pmu) => (SbiExtId::Pmu, Extension::Pmu),
        ExtensionId::Standard(Standard::Dbcn) => (SbiExtId::Dbcn, Extension::User),
        ExtensionId::Standard(Standard::Mpxy) => (SbiExtId::Mpxy, Extension::User),
        ExtensionId::Experimental(_) => (SbiExtId::Experimental, Extension::UserRange),
        ExtensionId::Vendor(_) => (SbiExtId::Vendor, Extension::UserRange),
        _ => return None,
    };
    enabled.has(id).then_some(extension)
}
