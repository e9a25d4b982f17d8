// SPDX-License-Identifier: GPL-2.0

//! What the guest did that it did not finish by itself, and what is done about it.
//!
//! An exit is handled at the earliest of three stages that can, by what implements [`Handle`] for
//! it. [`run::dispatch`](crate::run::dispatch) has the table of who that is.

pub(crate) mod exception;
pub(crate) mod guest_memory;
pub(crate) mod instruction;
pub(crate) mod mmio;
pub(crate) mod page_fault;

use crate::Riscv;
use kernel::{
    interrupt::LocalInterruptDisabled,
    kvm::{
        LoadedVcpu,
        PreemptOff, //
    },
    prelude::*, //
};

/// How many vCPUs the handlers at the stage [`Handle::irqs_off`] visit at most.
///
/// To wake a thread, or to take the lock of a queue, takes microseconds, and the guest chooses how
/// many vCPUs it names: with 64 of them, interrupts would be disabled for too long.
pub(crate) const MAX_VISITED: usize = 8;

/// What comes after an exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Enter the guest again.
    Enter,
    /// Return to user space. The run area says why.
    Return,
}

/// The handler of an exit, at three stages. Each later stage may do more, and costs more.
///
/// What an earlier stage does is a part of what [`handle`](Self::handle) does, which handles every
/// exit of its kind. Exits that are handled early are counted, but not traced.
pub(crate) trait Handle {
    /// Handles the exit inside the world switch, if the exit needs only this hart's registers and
    /// the vCPU's own state. Returns whether it did, so that the guest goes on.
    ///
    /// RCU does not watch here: nothing may be instrumented or take a lock, and everything must be
    /// inlined into `.noinstr.text`.
    #[inline(always)]
    fn in_switch(&self, vcpu: &LoadedVcpu<'_, Riscv>, irq: &LocalInterruptDisabled) -> bool {
        let _ = (vcpu, irq);
        false
    }

    /// Handles the exit with interrupts disabled, in guest mode, on the hart that was prepared for
    /// the guest. Returns [`None`] if that is not possible; then everything is as it was.
    ///
    /// Must not sleep, and must not wait for another hart. So the only locks to take are spinlocks
    /// whose holders do not wait for another hart either: `mmu_lock` is not one of them, because
    /// its holder may wait for this hart to leave the guest. At most [`MAX_VISITED`] vCPUs may be
    /// visited.
    #[inline(always)]
    fn irqs_off(
        &self,
        vcpu: &LoadedVcpu<'_, Riscv>,
        preempt: &PreemptOff,
        irq: &LocalInterruptDisabled,
    ) -> Option<Next> {
        let _ = (vcpu, preempt, irq);
        None
    }

    /// Handles the exit. May sleep.
    ///
    /// # Errors
    ///
    /// Errors end `KVM_RUN`, and are its errno.
    fn handle(&self, vcpu: &LoadedVcpu<'_, Riscv>) -> Result<Next>;
}
