// SPDX-License-Identifier: GPL-2.0

//! `KVM_RUN`: enter the guest, handle why it stopped, and again.

#![deny(unsafe_code)]

pub(crate) mod dispatch;

use crate::{
    exits::{
        self,
        Next, //
    },
    hart::trap::Trap,
    mmu::tlb,
    switch::{
        vector,
        world_switch::{
            enter_exit,
            EntryFailed, //
        },
    },
    trace,
    vcpu::{
        self,
        completion,
        power, //
    },
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
    completion::complete(vcpu);
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
            let next = match enter(vcpu)? {
                Stay::None => Next::Enter,
                Stay::Over(next) => next,
                Stay::Trapped(trap) => exits::handle(vcpu, &trap)?,
            };
            if next == Next::Return {
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

/// What has become of an attempt to enter the guest.
enum Stay {
    /// There is something to do first.
    None,
    /// The guest has run, and why it stopped is dealt with.
    Over(Next),
    /// The guest has run, until this.
    Trapped(Trap),
}

/// Enters the guest, and again for as long as its exits are handled at once.
fn enter(vcpu: &LoadedVcpu<'_, Riscv>) -> Result<Stay> {
    let vm = vcpu.vm().backend();
    vm.vmid.ensure();

    let preempt = PreemptOff::new();
    let vmid = tlb::prepare_hart(vcpu, &preempt);

    let mut irq = IrqOff::new(&preempt);
    let result: Result<_, EntryFailed> = vcpu.in_guest_mode(&mut irq, |irq| loop {
        vcpu.shared().interrupts.flush(&preempt);
        // Whatever comes from now on comes with an interrupt, which the guest does not outlast: the
        // first kick does. If that has come already, then others would not.
        if vm.vmid.current() != Some(vmid)
            || vcpu.was_kicked()
            || vcpu.request_pending()
            || work_pending()
        {
            return Ok(Stay::None);
        }
        vector::enter(vcpu, irq.token());
        trace::entry(vcpu);
        let trap = irq.with_guest_timing(|irq| enter_exit(vcpu, &vcpu.local().env, irq))?;
        match dispatch::handle_at_once(vcpu, &preempt, irq.token(), &trap) {
            Some(Next::Enter) => {}
            Some(next) => return Ok(Stay::Over(next)),
            None => return Ok(Stay::Trapped(trap)),
        }
    });
    drop(irq);
    match result {
        Ok(Stay::Trapped(trap)) => {
            trace::exit(&trap);
            drop(preempt);
            vcpu.count(vcpu_counter!(exits));
            Ok(Stay::Trapped(trap))
        }
        Ok(stay) => Ok(stay),
        Err(e) => {
            kernel::pr_err_once!("NACL: an entry failed with SBI error {}\n", e.0);
            Err(EIO)
        }
    }
}
