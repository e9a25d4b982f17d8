// SPDX-License-Identifier: GPL-2.0

//! The CSRs that VS-mode and HS-mode access by one name, so that they belong to whoever runs.

use crate::hart::{
    csr,
    features, //
};
use core::cell::Cell;

/// What U-mode may use. In the guest, U-mode is VU-mode.
#[derive(Clone, Copy)]
pub(crate) struct UserCsrs {
    /// Counters that U-mode may read.
    pub(crate) scounteren: u64,
    /// Features that U-mode may use.
    pub(crate) senvcfg: u64,
    /// State that U-mode may use.
    pub(crate) sstateen0: u64,
}

impl UserCsrs {
    /// The values after a reset.
    pub(crate) const RESET: Self = Self {
        scounteren: 0,
        senvcfg: 0,
        sstateen0: 0,
    };
}

/// Puts one set of these CSRs on the hart, and returns the set that was there.
#[inline(always)]
pub(crate) fn swap(csrs: UserCsrs) -> UserCsrs {
    // SAFETY: They act on U-mode only, of the guest for as long as it runs. The hart has those that
    // are accessed.
    unsafe {
        UserCsrs {
            scounteren: csr::swap::<{ csr::SCOUNTEREN }>(csrs.scounteren),
            senvcfg: csr::swap::<{ csr::SENVCFG }>(csrs.senvcfg),
            sstateen0: if features::smstateen() {
                csr::swap::<{ csr::SSTATEEN0 }>(csrs.sstateen0)
            } else {
                csrs.sstateen0
            },
        }
    }
}

/// Exchanges the top of the shadow stack, of whatever mode, with the value in memory, if the hart
/// has one.
#[inline(always)]
pub(crate) fn swap_ssp(ssp: &Cell<u64>) {
    if features::zicfiss() {
        // SAFETY: The hart has the register. The kernel itself uses no shadow stack.
        ssp.set(unsafe { csr::swap::<{ csr::SSP }>(ssp.get()) });
    }
}
