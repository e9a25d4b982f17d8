// SPDX-License-Identifier: GPL-2.0

//! `KVM_RUN`: enter the guest, handle why it stopped, and again.

pub(crate) mod dispatch;
mod enter;
mod stay;

use crate::{
    exits::Next,
    mmu::activate,
    run::enter::{
        enter,
        Outcome, //
    },
    vcpu::{
        self,
        aia,
        completion,
        power,
        sta,
        timer, //
    },
    Riscv, //
};
use kernel::{
    kvm::{
        ExitReason,
        LoadPermit,
        LoadedVcpu,
        LockedVcpu, //
    },
    prelude::*, //
};

/// Handles `KVM_RUN`.
pub(crate) fn run(vcpu: &LockedVcpu<'_, Riscv>, permit: LoadPermit<'_, Riscv>) -> Result {
    if !vcpu.local().has_run.replace(true) {
        vcpu::update_config(vcpu);
    }
    completion::complete(vcpu);
    if !vcpu.wants_to_run() {
        return Err(EINTR);
    }
    vcpu.perf_counters().follow_thread();
    vcpu.with_loaded(permit, |vcpu| {
        vcpu.run_area().set_exit_reason(ExitReason::Unknown);
        loop {
            vcpu.handle_work()?;
            if vcpu.request_pending() && handle_requests(vcpu)? == Next::Return {
                return Ok(());
            }
            let next = match enter(vcpu)? {
                Outcome::NotEntered => Next::Enter,
                Outcome::Return => Next::Return,
                Outcome::Trapped(trap) => dispatch::handle(vcpu, &trap)?,
            };
            if next == Next::Return {
                return Ok(());
            }
        }
    })
}

/// Handles requests, except those that need preemption to be disabled, which
/// [`activate::prepare`] handles.
fn handle_requests(vcpu: &LoadedVcpu<'_, Riscv>) -> Result<Next> {
    // The request that comes with a dead VM is never taken back.
    if vcpu.vm().is_dead() {
        return Err(EIO);
    }
    let power = &vcpu.shared().power;
    if vcpu.take_request(power::SLEEP) {
        vcpu.wait_until(|| !power.is_stopped());
        if power.is_stopped() {
            // A signal came first. The vCPU sleeps again once the signal has been handled.
            vcpu.request(power::SLEEP);
            return vcpu.handle_work().map(|()| Next::Enter);
        }
    }
    timer::follow_time_loaded(vcpu);
    if let Some(entry) = vcpu::take_start(vcpu) {
        vcpu.with_unloaded(entry, vcpu::begin);
    }
    activate::run_queued_fences(vcpu);
    sta::record_if_requested(vcpu);
    if !aia::follow_hart(vcpu)? {
        return Ok(Next::Return);
    }
    if vcpu.dirty_ring_full() {
        return Ok(Next::Return);
    }
    Ok(Next::Enter)
}
