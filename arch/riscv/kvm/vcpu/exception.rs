// SPDX-License-Identifier: GPL-2.0

//! Raises exceptions in the guest.

use crate::{
    hart::{
        csr::{
            self,
            Sstatus, //
        },
        guest_csr,
        trap::{
            cause,
            Access,
            Trap, //
        },
    },
    switch::regs::Regs,
    Riscv, //
};
use kernel::kvm::LoadedVcpu;

/// An exception, as the guest's `scause` and `stval` have it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exception {
    scause: u64,
    stval: u64,
}

impl Exception {
    /// The exception that the guest has caused and the host has received.
    pub(crate) fn of_trap(trap: &Trap) -> Self {
        Self {
            scause: trap.scause,
            stval: trap.stval,
        }
    }

    /// An illegal or forbidden instruction.
    pub(crate) fn illegal_instruction(insn: u64) -> Self {
        Self {
            scause: cause::INST_ILLEGAL,
            stval: insn,
        }
    }

    /// An access to something that is neither memory nor a device.
    pub(crate) fn access_fault(access: Access, stval: u64) -> Self {
        Self {
            scause: match access {
                Access::Load => cause::LOAD_ACCESS,
                Access::Store => cause::STORE_ACCESS,
                Access::Fetch => cause::INST_ACCESS,
            },
            stval,
        }
    }

    /// The exception that the guest would have had where the backend has received `trap` for its
    /// fetch of the guest's instruction: the load that fetches reports a load fault.
    pub(crate) fn of_fetch(trap: &Trap) -> Self {
        Self {
            scause: match trap.scause {
                cause::LOAD_PAGE_FAULT => cause::INST_PAGE_FAULT,
                cause::LOAD_ACCESS => cause::INST_ACCESS,
                other => other,
            },
            stval: trap.stval,
        }
    }
}

/// Raises an exception in the guest, at its program counter.
///
/// Does what a hart does on a trap to VS-mode ("Trap Entry").
pub(crate) fn inject(vcpu: &LoadedVcpu<'_, Riscv>, exception: Exception) {
    let regs = Regs::of(vcpu);
    let sstatus = regs.sstatus();
    let vsstatus = Sstatus::from_raw(guest_csr::read::<{ csr::VSSTATUS }>(vcpu));

    let vsstatus = vsstatus
        .with_spp(sstatus.spp())
        .with_spelp(sstatus.spelp())
        .with_spie(vsstatus.sie())
        .with_sie(false);
    guest_csr::write::<{ csr::VSSTATUS }>(vcpu, vsstatus.into_raw());
    guest_csr::write::<{ csr::VSCAUSE }>(vcpu, exception.scause);
    guest_csr::write::<{ csr::VSTVAL }>(vcpu, exception.stval);
    guest_csr::write::<{ csr::VSEPC }>(vcpu, regs.sepc());

    // Exceptions go to the base of `stvec`, whatever its mode.
    const STVEC_MODE: u64 = 3;
    regs.set_sepc(guest_csr::read::<{ csr::VSTVEC }>(vcpu) & !STVEC_MODE);
    regs.set_sstatus(sstatus.with_spp(true).with_spelp(false));
}
