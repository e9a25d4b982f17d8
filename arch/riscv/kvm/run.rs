// SPDX-License-Identifier: GPL-2.0

//! `KVM_RUN`: enter the guest, handle why it stopped, and again.

#![deny(unsafe_code)]

use crate::{
    enter_exit::enter_exit,
    exit::{
        self,
        Next,
        Trap, //
    },
    pending,
    power,
    tlb,
    trace,
    vcpu,
    vector,
    vm,
    Riscv, //
};
use kernel::{
    kvm::{
        context::work_pending,
        stats::vcpu_counter,
        ExitReason,
        IrqOff,
        LoadedVcpu,
        LockedVcpu,
        PreemptOff, //
    },
    prelude::*, //
};

/// Handles `KVM_RUN`.
pub(crate) fn run(vcpu: &LockedVcpu<'_, Riscv>) -> Result {
    if !vcpu.local().has_run.replace(true) {
        vcpu::update_config(vcpu);
    }
    pending::complete(vcpu);
    if !vcpu.wants_to_run() {
        return Err(EINTR);
    }
    vcpu.with_loaded(|vcpu| {
        vcpu.run_area().set_exit_reason(ExitReason::Unknown);
        loop {
            vcpu.handle_work()?;
            if vcpu.request_pending() && handle_requests(vcpu)? == Next::Return {
                return Ok(());
            }
            let Some(trap) = enter(vcpu)? else {
                continue;
            };
            if exit::handle(vcpu, &trap)? == Next::Return {
                return Ok(());
            }
        }
    })
}

/// Handles the requests, but for those that have to be handled with preemption disabled, which
/// [`tlb::prepare_hart`] does.
fn handle_requests(vcpu: &LoadedVcpu<'_, Riscv>) -> Result<Next> {
    // The request that tells so is never taken back.
    if vcpu.vm().is_dead() {
        return Err(EIO);
    }
    let power = &vcpu.shared().power;
    if vcpu.take_request(power::SLEEP) {
        vcpu.wait_until(|| !power.is_stopped());
        if power.is_stopped() {
            // A signal came first: sleep on when it has been handled.
            vcpu.request(power::SLEEP);
        }
    }
    if vcpu.take_request(power::RESET) {
        let start = power.start();
        let args = [vm::hartid(vcpu), start.opaque];
        vcpu::forget_requests(vcpu);
        vcpu.with_unloaded(|vcpu| vcpu::reset(vcpu, start.pc, args));
    }
    tlb::work_off_fences(vcpu);
    if vcpu.dirty_ring_full() {
        return Ok(Next::Return);
    }
    Ok(Next::Enter)
}

/// Enters the guest. Returns [`None`] if there is something to do first.
fn enter(vcpu: &LoadedVcpu<'_, Riscv>) -> Result<Option<Trap>> {
    let vm = vcpu.vm().backend();
    vm.vmid.ensure();

    let preempt = PreemptOff::new();
    let vmid = tlb::prepare_hart(vcpu, &preempt);

    let mut irq = IrqOff::new(&preempt);
    let result = vcpu.in_guest_mode(&mut irq, |irq| {
        vcpu.shared().interrupts.flush(&preempt);
        // Whatever comes from now on comes with an interrupt, which the guest does not outlast.
        if vm.vmid.current() != Some(vmid) || vcpu.request_pending() || work_pending() {
            return Ok(None);
        }
        vector::enter(vcpu, irq.token());
        trace::entry(vcpu);
        let trap = irq.with_guest_timing(|irq| enter_exit(vcpu, &vcpu.local().env, irq));
        trap.map(Some)
    });
    drop(irq);
    match result {
        Ok(Some(trap)) => {
            trace::exit(&trap);
            drop(preempt);
            vcpu.count(vcpu_counter!(exits));
            Ok(Some(trap))
        }
        Ok(None) => Ok(None),
        Err(e) => {
            kernel::pr_err_once!("NACL: an entry failed with SBI error {}\n", e.0);
            Err(EIO)
        }
    }
}
