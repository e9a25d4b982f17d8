// SPDX-License-Identifier: GPL-2.0

//! The guest's CSRs, which move with the vCPU from hart to hart. `vsatp` is not among them: it goes
//! with `hgatp`, in [`Activation`](crate::mmu::activate::Activation).

use crate::{
    abi::warl,
    hart::{
        csr,
        guest_csr, //
    }, //
};
use kernel::kvm::PreemptOff;

/// The values of the guest's CSRs, in the order of `struct kvm_riscv_csr`.
#[derive(Clone, Copy)]
pub(crate) struct Csrs {
    pub(crate) vsstatus: u64,
    pub(crate) vsie: u64,
    pub(crate) vstvec: u64,
    pub(crate) vsscratch: u64,
    pub(crate) vsepc: u64,
    pub(crate) vscause: u64,
    pub(crate) vstval: u64,
    pub(crate) hvip: u64,
}

impl Csrs {
    /// The values after a reset.
    pub(crate) const RESET: Self = Self {
        vsstatus: warl::SSTATUS_RESET,
        vsie: 0,
        vstvec: 0,
        vsscratch: 0,
        vsepc: 0,
        vscause: 0,
        vstval: 0,
        hvip: 0,
    };

    /// Writes the CSRs to this hart.
    #[inline]
    pub(crate) fn load(&self, hart: &PreemptOff) {
        guest_csr::write::<{ csr::VSSTATUS }>(hart, self.vsstatus);
        guest_csr::write::<{ csr::VSIE }>(hart, self.vsie);
        // A hart that cannot hold the base may keep what it has, which must not be the base of
        // another guest.
        if !warl::stvec_always_fits(self.vstvec) {
            guest_csr::write::<{ csr::VSTVEC }>(hart, 0);
        }
        guest_csr::write::<{ csr::VSTVEC }>(hart, self.vstvec);
        guest_csr::write::<{ csr::VSSCRATCH }>(hart, self.vsscratch);
        guest_csr::write::<{ csr::VSEPC }>(hart, self.vsepc);
        guest_csr::write::<{ csr::VSCAUSE }>(hart, self.vscause);
        guest_csr::write::<{ csr::VSTVAL }>(hart, self.vstval);
        guest_csr::write::<{ csr::HVIP }>(hart, self.hvip);
    }

    /// Reads the CSRs from this hart.
    #[inline]
    pub(crate) fn read(hart: &PreemptOff) -> Self {
        Self {
            vsstatus: guest_csr::read::<{ csr::VSSTATUS }>(hart),
            vsie: guest_csr::read::<{ csr::VSIE }>(hart),
            vstvec: guest_csr::read::<{ csr::VSTVEC }>(hart),
            vsscratch: guest_csr::read::<{ csr::VSSCRATCH }>(hart),
            vsepc: guest_csr::read::<{ csr::VSEPC }>(hart),
            vscause: guest_csr::read::<{ csr::VSCAUSE }>(hart),
            vstval: guest_csr::read::<{ csr::VSTVAL }>(hart),
            hvip: guest_csr::read::<{ csr::HVIP }>(hart),
        }
    }
}
