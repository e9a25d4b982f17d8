// SPDX-License-Identifier: GPL-2.0

//! Exceptions of the guest that are not delegated to it.

use crate::{
    abi::sbi::FirmwareEvent,
    exits::{
        Handle,
        Next, //
    },
    hart::trap::{
        cause,
        Trap, //
    },
    vcpu::exception::{
        inject,
        Exception, //
    },
    Riscv, //
};
use kernel::{
    kvm::{
        stats::vcpu_counter,
        ExitReason,
        LoadedVcpu, //
    },
    prelude::*, //
};

/// A breakpoint that user space has set in the guest.
pub(crate) struct Breakpoint;

impl Handle for Breakpoint {
    fn handle(&self, vcpu: &LoadedVcpu<'_, Riscv>) -> Result<Next> {
        vcpu.run_area().set_exit_reason(ExitReason::Debug);
        Ok(Next::Return)
    }
}

/// An exception that belongs to the guest. The host counts it, and raises it in the guest.
pub(crate) struct GuestException<'a>(pub(crate) &'a Trap);

impl Handle for GuestException<'_> {
    fn handle(&self, vcpu: &LoadedVcpu<'_, Riscv>) -> Result<Next> {
        count(vcpu, self.0.scause);
        inject(vcpu, Exception::of_trap(self.0));
        Ok(Next::Enter)
    }
}

fn count(vcpu: &LoadedVcpu<'_, Riscv>, scause: u64) {
    use FirmwareEvent::*;

    let (statistic, event) = match scause {
        cause::INST_ILLEGAL => (vcpu_counter!(instr_illegal_exits), IllegalInsn),
        cause::LOAD_MISALIGNED => (vcpu_counter!(load_misaligned_exits), MisalignedLoad),
        cause::STORE_MISALIGNED => (vcpu_counter!(store_misaligned_exits), MisalignedStore),
        cause::LOAD_ACCESS => (vcpu_counter!(load_access_exits), AccessLoad),
        cause::STORE_ACCESS => (vcpu_counter!(store_access_exits), AccessStore),
        _ => return,
    };
    vcpu.count(statistic);
    vcpu.shared().pmu.count(event);
}
