// SPDX-License-Identifier: GPL-2.0

//! Guest mode: from the last checks before an entry until the guest is not entered again.

use super::{
    backend::{
        Backend,
        VcpuOps, //
    },
    context::PreemptOff,
    hot,
    vcpu::LoadedVcpu, //
};
use crate::{
    access_once::{
        release_barrier,
        smp_mb, //
    },
    bindings,
    interrupt::LocalInterruptDisabled, //
};
use core::ops::ControlFlow;

/// The vCPU of this thread is in guest mode, with interrupts disabled. Only
/// [`LoadedVcpu::in_guest_mode`] makes one.
pub struct GuestMode<'i> {
    irq: &'i LocalInterruptDisabled,
}

impl<'i> GuestMode<'i> {
    /// Returns the token for disabled interrupts.
    #[inline(always)]
    pub fn irq(&self) -> &'i LocalInterruptDisabled {
        self.irq
    }
}

/// What a backend does in guest mode: the three stages of a turn, each of which can end guest mode.
///
/// Nothing in the implementor, nor in what a turn ends with, is a token or a guard of disabled
/// interrupts or of the mode, because those are neither [`Send`] nor `'static`. So none outlasts
/// its stage, and what [`ready`](Self::ready) hands to [`run`](Self::run) is gone when that ends.
pub trait GuestStages<B: Backend>: Send + 'static {
    /// What ends guest mode.
    type Outcome: Send + 'static;

    /// Why the guest has stopped, or why it did not run.
    type Exit: Send + 'static;

    /// What [`ready`](Self::ready) has found, which allows [`run`](Self::run) to run the guest.
    type Ready<'a>;

    /// Decides whether the guest may be entered.
    ///
    /// Requests that were made before guest mode are seen by
    /// [`request_pending`](super::Vcpu::request_pending). A thread that makes one later sends an
    /// interrupt, unless another thread has sent one, which
    /// [`was_kicked`](super::Vcpu::was_kicked) reports.
    fn ready<'a>(
        &mut self,
        vcpu: &'a LoadedVcpu<'_, B>,
        preempt: &'a PreemptOff,
        mode: &'a GuestMode<'_>,
    ) -> ControlFlow<Self::Outcome, Self::Ready<'a>>;

    /// Runs the guest.
    fn run(
        &mut self,
        vcpu: &LoadedVcpu<'_, B>,
        mode: &GuestMode<'_>,
        ready: Self::Ready<'_>,
    ) -> Self::Exit;

    /// Handles why the guest has stopped, after the interrupts that came in meanwhile.
    fn exited(
        &mut self,
        vcpu: &LoadedVcpu<'_, B>,
        preempt: &PreemptOff,
        mode: &GuestMode<'_>,
        exit: Self::Exit,
    ) -> ControlFlow<Self::Outcome>;
}

impl<B: VcpuOps> LoadedVcpu<'_, B> {
    /// Stays in guest mode, and takes turns, until a stage ends that. Must not be called in an SRCU
    /// section, which would last as long as the guest runs.
    ///
    /// The guest runs on its own account. Interrupts that came in meanwhile are taken before the
    /// account is closed, so that a tick among them counts as the guest's time. No barrier makes a
    /// CPU take them, but all implementations take them between the two instructions that enable
    /// and disable interrupts.
    ///
    /// Panics if interrupts are disabled already, as they are in guest mode.
    #[inline(always)]
    pub fn in_guest_mode<S: GuestStages<B>>(
        &self,
        preempt: &PreemptOff,
        mut stages: S,
    ) -> S::Outcome {
        let flags = hot::local_irq_save();
        assert!(flags.were_enabled());
        let mode = GuestMode {
            // SAFETY: Interrupts are disabled whenever a stage runs, and a stage cannot keep the
            // token.
            irq: unsafe { LocalInterruptDisabled::assume_disabled() },
        };
        self.set_mode(bindings::IN_GUEST_MODE);
        // Orders the mode ahead of the reads of the requests in `ready()`.
        smp_mb();
        let outcome = loop {
            let ready = match stages.ready(self, preempt, &mode) {
                ControlFlow::Continue(ready) => ready,
                ControlFlow::Break(outcome) => break outcome,
            };
            // SAFETY: Interrupts are disabled.
            unsafe { hot::guest_timing_enter_irqoff() };
            let exit = stages.run(self, &mode, ready);
            // SAFETY: Interrupts were disabled above or in the last turn.
            unsafe { hot::local_irq_restore(flags) };
            let _ = hot::local_irq_save();
            // SAFETY: Interrupts are disabled, and the counterpart has been called.
            unsafe { hot::guest_timing_exit_irqoff() };
            if let ControlFlow::Break(outcome) = stages.exited(self, preempt, &mode, exit) {
                break outcome;
            }
        };
        // Whoever sees the new mode takes it as the proof that the guest's accesses are over.
        release_barrier();
        self.set_mode(bindings::OUTSIDE_GUEST_MODE);
        // SAFETY: As above.
        unsafe { hot::local_irq_restore(flags) };
        outcome
    }
}

/// Reports to lockdep, context tracking and RCU that the guest is about to run.
///
/// # Safety
///
/// Until [`guest_state_exit`], which has to come, nothing may be called that can be instrumented,
/// or that uses RCU. The caller is in `.noinstr.text`.
#[inline(always)]
pub unsafe fn guest_state_enter(_: &GuestMode<'_>) {
    // SAFETY: Interrupts are disabled. The function is in `.noinstr.text`.
    unsafe { bindings::kvm_guest_state_enter_irqoff() };
}

/// Reports that the guest has run, and whether an interrupt has ended the stay.
///
/// Without context tracking, a quiescent state is reported only when an interrupt ended the stay.
/// That is enough: RCU asks a CPU through its tick; a tick during a stay ends it, a tick elsewhere
/// sees ordinary kernel code.
///
/// # Safety
///
/// Comes after [`guest_state_enter`].
#[inline(always)]
pub unsafe fn guest_state_exit(_: &GuestMode<'_>, by_interrupt: bool) {
    // SAFETY: Interrupts are disabled. The function is in `.noinstr.text`.
    unsafe { bindings::kvm_guest_state_exit_irqoff(by_interrupt) };
}
