// SPDX-License-Identifier: GPL-2.0

//! The SBI that the guest sees. Each extension has a file, named as the SBI specification names it.

mod base;
mod call;
mod extension;
mod fwft;
pub(crate) mod harts;
mod hsm;
mod ipi;
mod legacy;
mod pmu;
mod rfence;
mod srst;
mod sta;
mod susp;
mod time;

use self::{
    base::Base,
    call::{
        Answer,
        Call,
        Serve, //
    },
    extension::{
        find,
        Extension, //
    },
    fwft::Fwft,
    hsm::Hsm,
    ipi::Ipi,
    pmu::Pmu,
    rfence::Rfence,
    srst::Srst,
    sta::Sta,
    susp::Susp,
    time::Time, //
};
use crate::{
    abi::{
        one_reg::SbiExtId,
        sbi::{
            SbiError,
            Standard, //
        },
    },
    exits::{
        guest_memory,
        Handle,
        Next, //
    },
    switch::regs::Regs,
    vcpu::completion::{
        self,
        Completion, //
    },
    Riscv, //
};
use kernel::{
    interrupt::LocalInterruptDisabled,
    kvm::{
        stats::vcpu_counter,
        LoadedVcpu,
        PreemptOff, //
    },
    prelude::*, //
};

// The extensions with calls that are served early.
const BASE: u64 = Standard::Base.raw();
const TIME: u64 = Standard::Time.raw();
const IPI: u64 = Standard::Ipi.raw();
const RFENCE: u64 = Standard::Rfence.raw();

/// An ECALL of the guest's kernel: a call to its SBI.
pub(crate) struct Ecall;

impl Handle for Ecall {
    #[inline(always)]
    fn in_switch(&self, vcpu: &LoadedVcpu<'_, Riscv>, irq: &LocalInterruptDisabled) -> bool {
        let call = Call::of(vcpu);

        // A few comparisons instead of the search of `find()`.
        let value = match call.eid {
            BASE => Base::in_switch(&call, irq),
            TIME if call.has(SbiExtId::Time) => Time::in_switch(&call, irq),
            IPI if call.has(SbiExtId::Ipi) => Ipi::in_switch(&call, irq),
            _ => None,
        };
        let Some(value) = value else {
            return false;
        };
        completion::finish_sbi(call.regs, 0, value);
        true
    }

    #[inline(always)]
    fn irqs_off(
        &self,
        vcpu: &LoadedVcpu<'_, Riscv>,
        preempt: &PreemptOff,
        _: &LocalInterruptDisabled,
    ) -> Option<Next> {
        let call = Call::of(vcpu);

        let result = match call.eid {
            IPI if call.has(SbiExtId::Ipi) => Ipi::irqs_off(&call, preempt),
            RFENCE if call.has(SbiExtId::Rfence) => Rfence::irqs_off(&call, preempt),
            _ => None,
        }?;
        finish(call.regs, result);
        Some(Next::Enter)
    }

    #[inline(always)]
    fn handle(&self, vcpu: &LoadedVcpu<'_, Riscv>) -> Result<Next> {
        let call = Call::of(vcpu);

        let answer = match find(vcpu.local().sbi.get(), call.eid) {
            Some(Extension::Legacy(function)) => legacy::handle(&call, function),
            Some(Extension::Base) => Base::handle(&call),
            Some(Extension::Time) => Time::handle(&call),
            Some(Extension::Ipi) => Ipi::handle(&call),
            Some(Extension::Rfence) => Rfence::handle(&call),
            Some(Extension::Hsm) => Hsm::handle(&call),
            Some(Extension::Srst) => Srst::handle(&call),
            Some(Extension::Susp) => Susp::handle(&call),
            Some(Extension::Fwft) => Fwft::handle(&call),
            Some(Extension::Sta) => Sta::handle(&call),
            Some(Extension::Pmu) => Pmu::handle(&call),
            Some(Extension::User | Extension::UserRange) => Answer::AskUser(Completion::Sbi),
            None => Answer::error(SbiError::NotSupported),
        };
        match answer {
            Answer::Return(result) => {
                finish(call.regs, result);
                Ok(Next::Enter)
            }
            Answer::Legacy(value) => {
                completion::finish_legacy_sbi(call.regs, value);
                Ok(Next::Enter)
            }
            Answer::ReadFailed(error) => guest_memory::read_failed(vcpu, error),
            Answer::AskUser(pending) => {
                vcpu.count(vcpu_counter!(ecall_exit_stat));
                completion::ask_sbi(vcpu, pending);
                Ok(Next::Return)
            }
            Answer::Leave => Ok(Next::Return),
        }
    }
}

/// Gives the guest the answer to its call.
#[inline]
fn finish(regs: Regs<'_>, result: Result<u64, SbiError>) {
    let (error, value) = match result {
        Ok(value) => (0, value),
        Err(e) => (e.raw(), 0),
    };
    completion::finish_sbi(regs, error, value);
}
