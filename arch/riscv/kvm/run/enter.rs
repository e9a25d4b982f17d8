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
    hart::{
        guest_csr::Translating,
        state,
        trap::Trap, //
    },
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
use core::ops::ControlFlow;
use kernel::{
    kvm::{
        context::work_pending,
        stats::vcpu_counter,
        GuestMode,
        GuestStages,
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
    vcpu.vm().backend().vmid.ensure();

    let preempt = PreemptOff::new();
    activate::prepare(vcpu, &preempt);
    match vcpu.in_guest_mode(&preempt, Stages) {
        Ok(Outcome::Trapped(trap)) => {
            trace::exit(&trap);
            drop(preempt);
            vcpu.count(vcpu_counter!(exits));
            Ok(Outcome::Trapped(trap))
        }
        Ok(outcome) => Ok(outcome),
        Err(e) => {
            report(&preempt, e);
            Err(EIO)
        }
    }
}

/// Logs that the firmware did not enter the guest, unless it could not.
///
/// A host that reboots takes the shared memory away from each hart by an IPI, which may interrupt a
/// vCPU shortly before its entry. Then nothing is wrong.
#[cold]
fn report(preempt: &PreemptOff, error: EntryFailed) {
    if state::enabled(preempt) {
        kernel::pr_err_once!("NACL: an entry failed with SBI error {}\n", error.0);
    }
}

/// What is done in guest mode.
struct Stages;

impl GuestStages<Riscv> for Stages {
    type Outcome = Result<Outcome, EntryFailed>;
    type Exit = Result<Trap, EntryFailed>;
    type Ready<'a> = Translating<'a>;

    #[inline(always)]
    fn ready<'a>(
        &mut self,
        vcpu: &'a LoadedVcpu<'_, Riscv>,
        preempt: &'a PreemptOff,
        mode: &'a GuestMode<'_>,
    ) -> ControlFlow<Self::Outcome, Translating<'a>> {
        vcpu.shared().interrupts.flush(preempt);
        // From here on, whoever wants this vCPU sends an IPI, which makes the guest exit. Only the
        // first kick sends one: if it has already arrived, later kicks stay silent, so do not
        // enter.
        let Some(hart) = activate::translating(vcpu, mode.irq()) else {
            return ControlFlow::Break(Ok(Outcome::NotEntered));
        };
        if vcpu.was_kicked() || vcpu.request_pending() || work_pending() {
            return ControlFlow::Break(Ok(Outcome::NotEntered));
        }
        vector::enter(vcpu, mode.irq());
        trace::entry(vcpu);
        ControlFlow::Continue(hart)
    }

    #[inline(always)]
    fn run(
        &mut self,
        vcpu: &LoadedVcpu<'_, Riscv>,
        mode: &GuestMode<'_>,
        hart: Translating<'_>,
    ) -> Self::Exit {
        let exit = stay(vcpu, mode, hart);
        vector::exit(vcpu, mode.irq());
        exit
    }

    #[inline(always)]
    fn exited(
        &mut self,
        vcpu: &LoadedVcpu<'_, Riscv>,
        preempt: &PreemptOff,
        mode: &GuestMode<'_>,
        exit: Self::Exit,
    ) -> ControlFlow<Self::Outcome> {
        let trap = match exit {
            Ok(trap) => trap,
            Err(e) => return ControlFlow::Break(Err(e)),
        };
        match dispatch::irqs_off(vcpu, preempt, mode.irq(), &trap) {
            Some(Next::Enter) => ControlFlow::Continue(()),
            Some(Next::Return) => ControlFlow::Break(Ok(Outcome::Return)),
            None => ControlFlow::Break(Ok(Outcome::Trapped(trap))),
        }
    }
}
