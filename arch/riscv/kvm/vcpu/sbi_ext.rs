// SPDX-License-Identifier: GPL-2.0

//! Which SBI extensions a vCPU has.

use crate::{
    abi::one_reg::{
        Numbered,
        SbiExtId, //
    },
    hart::pmu, //
};
use kernel::kvm::RunDelay;

/// A set of SBI extensions.
#[derive(Clone, Copy)]
pub(crate) struct SbiExtensions(u32);

impl SbiExtensions {
    /// Returns the extensions that a guest has by default.
    pub(crate) fn new() -> Self {
        SbiExtId::all()
            .filter(|ext| default_on(*ext) == Some(true))
            .fold(Self(0), |set, ext| set.with(ext, true))
    }

    /// Returns whether the guest has `ext`.
    #[inline(always)]
    pub(crate) const fn has(self, ext: SbiExtId) -> bool {
        self.0 & 1 << ext as u32 != 0
    }

    /// Returns the set with `ext`, or without it.
    pub(crate) const fn with(self, ext: SbiExtId, on: bool) -> Self {
        let bit = 1 << ext as u32;
        if on {
            Self(self.0 | bit)
        } else {
            Self(self.0 & !bit)
        }
    }
}

/// Returns whether a guest has an extension by default, or [`None`] if it cannot have the
/// extension.
pub(crate) fn default_on(ext: SbiExtId) -> Option<bool> {
    match ext {
        SbiExtId::Time
        | SbiExtId::Ipi
        | SbiExtId::Rfence
        | SbiExtId::Srst
        | SbiExtId::Hsm
        | SbiExtId::Fwft
        | SbiExtId::Experimental
        | SbiExtId::Vendor => Some(true),
        // The register is part of the ABI, even if this kernel does not serve the calls.
        SbiExtId::V01 => Some(true),
        // They are useless until user space is ready to serve them.
        SbiExtId::Dbcn | SbiExtId::Mpxy | SbiExtId::Susp => Some(false),
        SbiExtId::Sta if RunDelay::is_measured() => Some(true),
        SbiExtId::Pmu if pmu::counters().is_some() => Some(true),
        SbiExtId::Pmu | SbiExtId::Sta => None,
    }
}
