// SPDX-License-Identifier: GPL-2.0

//! What a vCPU does until there is an interrupt for its guest.

use crate::{
    vcpu::{
        interrupts,
        timer, //
    },
    Riscv, //
};
use kernel::kvm::LoadedVcpu;

/// Waits for an interrupt of the guest, if there is none.
pub(crate) fn wait_for_interrupt(vcpu: &LoadedVcpu<'_, Riscv>) {
    interrupts::snapshot_loaded(vcpu);
    let shared = vcpu.shared();
    if shared.interrupts.pending() {
        return;
    }
    timer::while_asleep(vcpu, || vcpu.halt());
}
