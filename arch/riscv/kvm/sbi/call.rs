// SPDX-License-Identifier: GPL-2.0

//! A call of the guest to its SBI, and the interface of the extensions that serve calls.

use crate::{
    abi::{
        one_reg::SbiExtId,
        sbi::SbiError, //
    },
    exits::guest_memory::ReadError,
    switch::regs::Regs,
    vcpu::completion::Completion,
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

/// How an extension answers a call.
pub(super) enum Answer {
    /// With a value, or an error.
    Return(Result<u64, SbiError>),
    /// With a value in `a0` alone, as the extensions of SBI v0.1 do.
    Legacy(u64),
    /// Not yet: it cannot read what it needs in the guest's memory.
    ReadFailed(ReadError),
    /// Not itself: user space serves the call, and its answer gets to the guest in this way.
    AskUser(Completion),
    /// Not at all: `KVM_RUN` returns, and the run area says why.
    Leave,
}

impl Answer {
    /// The call succeeds, and returns no value.
    pub(super) const DONE: Self = Self::Return(Ok(0));

    pub(super) const fn error(error: SbiError) -> Self {
        Self::Return(Err(error))
    }
}

/// A call of the guest to its SBI.
pub(super) struct Call<'a> {
    /// The vCPU that makes the call.
    pub(super) vcpu: &'a LoadedVcpu<'a, Riscv>,
    /// The extension.
    pub(super) eid: u64,
    /// The function of the extension.
    pub(super) fid: u64,
    /// The vCPU's registers.
    pub(super) regs: Regs<'a>,
}

impl<'a> Call<'a> {
    /// Returns the call that the guest has stopped for (SBI specification, chapter 3).
    #[inline(always)]
    pub(super) fn of(vcpu: &'a LoadedVcpu<'a, Riscv>) -> Self {
        let regs = Regs::of(vcpu);
        Self {
            vcpu,
            eid: regs.x(17),
            fid: regs.x(16),
            regs,
        }
    }

    /// Returns whether the guest has an extension.
    #[inline(always)]
    pub(super) fn has(&self, ext: SbiExtId) -> bool {
        self.vcpu.local().sbi.get().has(ext)
    }

    /// Returns argument number `n`, from 0 to 5.
    #[inline(always)]
    pub(super) fn arg(&self, n: usize) -> u64 {
        self.regs.x(10 + n)
    }
}

/// An extension, at the stages of [`Handle`](crate::exits::Handle), which has the rules of each.
pub(super) trait Serve {
    /// Serves a call inside the world switch. Returns the value of a call that has succeeded, or
    /// [`None`] if the call is for a later stage.
    #[inline(always)]
    fn in_switch(call: &Call<'_>, irq: &LocalInterruptDisabled) -> Option<u64> {
        let _ = (call, irq);
        None
    }

    /// Serves a call with interrupts disabled. Returns [`None`] if the call is for the last stage.
    #[inline(always)]
    fn irqs_off(call: &Call<'_>, preempt: &PreemptOff) -> Option<Result<u64, SbiError>> {
        let _ = (call, preempt);
        None
    }

    /// Serves a call.
    fn handle(call: &Call<'_>) -> Answer;
}
