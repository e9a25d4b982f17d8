// SPDX-License-Identifier: GPL-2.0

//! Which exceptions a guest handles itself, and which features and state of the hart it may use.

use crate::{
    abi::envcfg::Henvcfg,
    hart::{
        csr::{
            self,
            Hstateen0, //
        },
        features,
        guest_csr::write_any,
        trap::cause, //
    },
};
use kernel::kvm::PreemptOff;

/// The CSRs that configure what a guest may do by itself.
#[derive(Clone, Copy)]
pub(crate) struct GuestConfig {
    /// Exceptions that the guest handles itself.
    pub(crate) hedeleg: u64,
    /// The features that the guest may use.
    pub(crate) henvcfg: Henvcfg,
    /// The state that the guest may access.
    pub(crate) hstateen0: Hstateen0,
}

impl GuestConfig {
    /// The exceptions that every guest handles itself, whether user space debugs it or not.
    const HEDELEG: u64 = 1 << cause::INST_MISALIGNED
        | 1 << cause::INST_ILLEGAL
        | 1 << cause::ECALL_U
        | 1 << cause::INST_PAGE_FAULT
        | 1 << cause::LOAD_PAGE_FAULT
        | 1 << cause::STORE_PAGE_FAULT;

    /// Returns the configuration of a guest with these features. If user space debugs the guest,
    /// its breakpoints trap to the host.
    pub(crate) fn new(henvcfg: Henvcfg, hstateen0: Hstateen0, debugged: bool) -> Self {
        let breakpoint = if debugged { 0 } else { 1 << cause::BREAKPOINT };
        Self {
            hedeleg: Self::HEDELEG | breakpoint,
            henvcfg,
            hstateen0,
        }
    }

    /// Writes the configuration to the hart. This must come before the guest's CSRs are written,
    /// because it decides how they behave.
    #[inline]
    pub(crate) fn load(&self, hart: &PreemptOff) {
        // SAFETY: Only exceptions that arise in the guest are delegated, and they can be because
        // `new()` sees to that; the interrupts are those of VS-level; `henvcfg` and `hstateen0`
        // act on V=1 only.
        unsafe {
            write_any::<{ csr::HEDELEG }>(hart, self.hedeleg);
            write_any::<{ csr::HIDELEG }>(hart, csr::VsInterrupt::ALL);
            write_any::<{ csr::HENVCFG }>(hart, self.henvcfg.into_raw());
            if features::smstateen() {
                write_any::<{ csr::HSTATEEN0 }>(hart, self.hstateen0.into_raw());
            }
        }
    }
}
