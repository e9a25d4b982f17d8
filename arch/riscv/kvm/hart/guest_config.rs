// SPDX-License-Identifier: GPL-2.0

//! Which exceptions a guest handles itself, and which features and state of the hart it may use.

use crate::{
    abi::{
        envcfg::{
            Henvcfg,
            PMM, //
        },
        fwft::Host, //
    },
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
use kernel::{
    bindings,
    kvm::{
        NoVcpu,
        PreemptOff, //
    },
    sync::SetOnce, //
};

/// What guests can choose of it by SBI FWFT.
static CHOICES: SetOnce<Host> = SetOnce::new();

/// Returns what guests can choose of their configuration.
pub(crate) fn choices() -> &'static Host {
    const NONE: &Host = &Host {
        delegates_misaligned: false,
        pmlens: 0,
    };
    CHOICES.as_ref().unwrap_or(NONE)
}

/// Finds out what guests can choose of their configuration.
pub(crate) fn probe(no_vcpu: &NoVcpu) {
    CHOICES.populate(Host {
        // SAFETY: The function has no requirements.
        delegates_misaligned: unsafe { bindings::misaligned_traps_can_delegate() },
        pmlens: probe_pmlens(no_vcpu),
    });
}

/// Returns the numbers of bits by which VS-mode can mask its pointers, as [`Host`] has them
/// (`henvcfg.PMM`).
fn probe_pmlens(_: &NoVcpu) -> u32 {
    if !features::host_has(bindings::RISCV_ISA_EXT_SMNPM) {
        return 0;
    }
    let _preempt = PreemptOff::new();
    // SAFETY: No vCPU is loaded. Each writes the register before its guest runs.
    unsafe {
        let before = csr::read::<{ csr::HENVCFG }>();
        let pmlen = |bits: u32| {
            let masking = Henvcfg::masking(bits.into()).into_raw();
            csr::write::<{ csr::HENVCFG }>(masking);
            // What the hart does not have, it does not keep.
            u32::from(csr::read::<{ csr::HENVCFG }>() & PMM == masking) << bits
        };
        let pmlens = pmlen(7) | pmlen(16);
        csr::write::<{ csr::HENVCFG }>(before);
        pmlens
    }
}

/// The exceptions that a guest handles itself, or not.
pub(crate) struct Delegated {
    /// Breakpoints, unless user space debugs the guest.
    pub(crate) breakpoints: bool,
    /// Misaligned accesses, if the guest's kernel wants them.
    pub(crate) misaligned: bool,
}

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

    /// Returns the configuration of a guest with these features.
    pub(crate) fn new(henvcfg: Henvcfg, hstateen0: Hstateen0, delegated: &Delegated) -> Self {
        let mut hedeleg = Self::HEDELEG;
        if delegated.breakpoints {
            hedeleg |= 1 << cause::BREAKPOINT;
        }
        if delegated.misaligned {
            hedeleg |= 1 << cause::LOAD_MISALIGNED | 1 << cause::STORE_MISALIGNED;
        }
        if henvcfg.checks_software() {
            hedeleg |= 1 << cause::SOFTWARE_CHECK;
        }
        Self {
            hedeleg,
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
            write_any::<{ csr::HIDELEG }>(hart, csr::VsInterrupt::DELEGATED);
            write_any::<{ csr::HENVCFG }>(hart, self.henvcfg.into_raw());
            if features::smstateen() {
                write_any::<{ csr::HSTATEEN0 }>(hart, self.hstateen0.into_raw());
            }
        }
    }
}
