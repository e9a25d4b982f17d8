// SPDX-License-Identifier: GPL-2.0

//! One entry: into the guest, and again for as long as its exits are handled early.
//!
//! # Why the guest may go on after an exit that was handled early
//!
//! The vCPU is in guest mode all the time: the first thread that wants something of it sends an
//! interrupt, which makes the guest exit. Inside the world switch, no interrupt is taken, and
//! nothing makes a request, gives the thread work to do, or takes the VMID away; so everything that
//! was checked before the entry still holds. Between the exit and the stage with interrupts
//! disabled, interrupts are enabled for a moment, and the handler itself may make requests. So
//! everything that was checked before the entry is checked again, and whether that first interrupt
//! has come.

use crate::{
    exits::Next,
    hart::trap::Trap,
    mmu::activate,
    run::{
        dispatch,
        stay::stay, //
    },
    switch::{
        vector,
        world_switch::EntryFailed, //
    },
    trace,
    Riscv, //
};
use kernel::{
    kvm::{
        context::work_pending,
        stats::vcpu_counter,
        IrqOff,
        LoadedVcpu,
        PreemptOff, //
    },
    prelude::*, //
};

/// What came of an attempt to enter the guest.
pub(crate) enum Outcome {
    /// There is something to do before the guest may run.
    NotEntered,
    /// The guest has run, and what it stopped for has to be handled by user space.
    Return,
    /// The guest has run until this trap.
    Trapped(Trap),
}

/// Enters the guest, and again for as long as its exits are handled early.
///
/// # Errors
///
/// [`EIO`] if the hart's firmware does not enter the guest.
pub(crate) fn enter(vcpu: &LoadedVcpu<'_, Riscv>) -> Result<Outcome> {
    let vm = vcpu.vm().backend();
    vm.vmid.ensure();

    let preempt = PreemptOff::new();
    let vmid = activate::prepare(vcpu, &preempt);

    let mut irq = IrqOff::new(&preempt);
    let result: Result<_, EntryFailed> = vcpu.in_guest_mode(&mut irq, |irq| loop {
        vcpu.shared().interrupts.flush(&preempt);
        // From here on, whoever wants this vCPU sends an IPI, which makes the guest exit. Only the
        // first kick sends one: if it has already arrived, later kicks stay silent, so do not
        // enter.
        if vm.vmid.current() != Some(vmid)
            || vcpu.was_kicked()
            || vcpu.request_pending()
            || work_pending()
        {
            return Ok(Outcome::NotEntered);
        }
        vector::enter(vcpu, irq.token());
        trace::entry(vcpu);
        let trap = irq.with_guest_timing(|irq| stay(vcpu, irq))?;
        match dispatch::irqs_off(vcpu, &preempt, irq.token(), &trap) {
            Some(Next::Enter) => {}
            Some(Next::Return) => return Ok(Outcome::Return),
            None => return Ok(Outcome::Trapped(trap)),
        }
    });
    drop(irq);
    match result {
        Ok(Outcome::Trapped(trap)) => {
            trace::exit(&trap);
            drop(preempt);
            vcpu.count(vcpu_counter!(exits));
            Ok(Outcome::Trapped(trap))
        }
        Ok(outcome) => Ok(outcome),
        Err(e) => {
            kernel::pr_err_once!("NACL: an entry failed with SBI error {}\n", e.0);
            Err(EIO)
        }
    }
}
