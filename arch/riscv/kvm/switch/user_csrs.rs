// SPDX-License-Identifier: GPL-2.0

//! The CSRs that VS-mode and HS-mode access by one name, so that they belong to whoever runs.

use crate::hart::{
    csr,
    features, //
};

/// What U-mode may use, and the shadow stack. In the guest, U-mode is VU-mode.
#[derive(Clone, Copy)]
pub(crate) struct UserCsrs {
    /// Counters that U-mode may read.
    pub(crate) scounteren: u64,
    /// Features that U-mode may use.
    pub(crate) senvcfg: u64,
    /// State that U-mode may use.
    pub(crate) sstateen0: u64,
    /// The top of the shadow stack, in whatever mode.
    pub(crate) ssp: u64,
}

impl UserCsrs {
    /// The values after a reset.
    pub(crate) const RESET: Self = Self {
        scounteren: 0,
        senvcfg: 0,
        sstateen0: 0,
        ssp: 0,
    };
}

/// Puts one set of these CSRs on the hart, and returns the set that was there.
#[inline(always)]
pub(crate) fn swap(csrs: UserCsrs) -> UserCsrs {
    // SAFETY: They act on U-mode only, of the guest for as long as it runs, and the kernel itself
    // uses no shadow stack. The hart has those that are accessed.
    unsafe {
        UserCsrs {
            scounteren: csr::swap::<{ csr::SCOUNTEREN }>(csrs.scounteren),
            senvcfg: csr::swap::<{ csr::SENVCFG }>(csrs.senvcfg),
            sstateen0: if features::smstateen() {
                csr::swap::<{ csr::SSTATEEN0 }>(csrs.sstateen0)
            } else {
                csrs.sstateen0
            },
            ssp: if features::zicfiss() {
                csr::swap::<{ csr::SSP }>(csrs.ssp)
            } else {
                csrs.ssp
            },
        }
    }
}
