// SPDX-License-Identifier: GPL-2.0

//! Guest page faults: memory that is not mapped yet, or a device.

use crate::{
    exits::{
        mmio::DeviceAccess,
        Handle,
        Next, //
    },
    hart::trap::GuestPageFault,
    mmu::map::{
        map,
        memslot, //
    },
    Riscv, //
};
use kernel::{
    interrupt::LocalInterruptDisabled,
    kvm::{
        LoadedVcpu,
        PreemptOff, //
    },
    prelude::*, //
};

impl Handle for GuestPageFault {
    /// Handles accesses to devices. To map memory may sleep.
    #[inline(always)]
    fn irqs_off(
        &self,
        vcpu: &LoadedVcpu<'_, Riscv>,
        preempt: &PreemptOff,
        irq: &LocalInterruptDisabled,
    ) -> Option<Next> {
        let srcu = &vcpu.srcu_read_lock();
        match memslot(srcu, self) {
            Some(_) => None,
            None => DeviceAccess { srcu, fault: self }.irqs_off(vcpu, preempt, irq),
        }
    }

    #[inline(always)]
    fn handle(&self, vcpu: &LoadedVcpu<'_, Riscv>) -> Result<Next> {
        let srcu = &vcpu.srcu_read_lock();
        match memslot(srcu, self) {
            Some(slot) => map(vcpu, &slot, self).map(|()| Next::Enter),
            None => DeviceAccess { srcu, fault: self }.handle(vcpu),
        }
    }
}
