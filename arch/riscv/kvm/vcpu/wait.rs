// SPDX-License-Identifier: GPL-2.0

//! Waiting for an interrupt, in WFI and in a suspended hart.

use crate::{
    vcpu::{
        aia,
        interrupts,
        timer, //
    },
    Riscv, //
};
use kernel::kvm::LoadedVcpu;

/// Sleeps until the guest has an interrupt, or a signal comes. Returns immediately if there is one.
pub(crate) fn wait_for_interrupt(vcpu: &LoadedVcpu<'_, Riscv>) {
    interrupts::snapshot_loaded(vcpu);
    let shared = vcpu.shared();
    if shared.interrupts.pending() || aia::has_interrupt(vcpu) {
        return;
    }
    timer::while_asleep(vcpu, || vcpu.halt());
}
