// SPDX-License-Identifier: GPL-2.0

//! Tokens for what must stay on one hart, and the calls around a stay in the guest.

use super::hot;
use crate::{
    bindings,
    interrupt::LocalInterruptDisabled,
    types::NotThreadSafe, //
};

/// Preemption is disabled for as long as this exists.
pub struct PreemptOff(NotThreadSafe);

impl PreemptOff {
    /// Disables preemption.
    #[inline]
    pub fn new() -> Self {
        hot::preempt_disable();
        Self(NotThreadSafe)
    }

    /// Assumes that preemption is disabled already.
    ///
    /// # Safety
    ///
    /// Preemption must stay disabled for the whole of `'a`.
    #[inline]
    pub unsafe fn assume<'a>() -> &'a Self {
        const TOKEN: &PreemptOff = &PreemptOff(NotThreadSafe);
        TOKEN
    }

    /// Returns the token that goes with disabled interrupts: without them, nothing preempts.
    #[inline(always)]
    pub fn from_irq_off(_: &LocalInterruptDisabled) -> &Self {
        // SAFETY: Interrupts stay disabled for the lifetime of the argument, which is that of the
        // result.
        unsafe { Self::assume() }
    }
}

impl Default for PreemptOff {
    #[inline]
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for PreemptOff {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: `new()` has disabled preemption.
        unsafe { hot::preempt_enable() };
    }
}

/// Interrupts of this CPU are disabled for as long as this exists.
///
/// In contrast to [`crate::interrupt::local_interrupt_disable`], this is one instruction each way,
/// and interrupts that are pending can be taken in between. It nests: interrupts are enabled only
/// if they were when it was made.
pub struct IrqOff<'p> {
    token: &'p LocalInterruptDisabled,
    flags: hot::IrqFlags,
}

impl<'p> IrqOff<'p> {
    /// Disables interrupts.
    #[inline]
    pub fn new(_: &'p PreemptOff) -> Self {
        let flags = hot::local_irq_save();
        Self {
            // SAFETY: Interrupts are disabled until `self` is dropped, and `token()` borrows
            // `self`.
            token: unsafe { LocalInterruptDisabled::assume_disabled() },
            flags,
        }
    }

    /// Returns the token that the rest of the kernel crate knows.
    #[inline]
    pub fn token(&self) -> &LocalInterruptDisabled {
        self.token
    }

    /// Takes the interrupts that are pending, if interrupts were enabled when `self` was made, and
    /// disables interrupts again.
    ///
    /// No barrier makes a CPU take them, but all implementations take them between the two
    /// instructions.
    #[inline]
    pub fn take_pending(&mut self) {
        // SAFETY: `self` has disabled interrupts.
        unsafe { hot::local_irq_restore(self.flags) };
        let _ = hot::local_irq_save();
    }

    /// Runs `f`, which enters the guest, on the guest's account.
    ///
    /// Interrupts that came in while the guest ran are taken before the account is closed, so that
    /// a tick among them counts as the guest's time.
    #[inline]
    pub fn with_guest_timing<R>(&mut self, f: impl FnOnce(&LocalInterruptDisabled) -> R) -> R {
        // SAFETY: Interrupts are disabled.
        unsafe { hot::guest_timing_enter_irqoff() };
        let r = f(self.token());
        self.take_pending();
        // SAFETY: Interrupts are disabled, and the counterpart has been called.
        unsafe { hot::guest_timing_exit_irqoff() };
        r
    }
}

impl Drop for IrqOff<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: `new()` has disabled interrupts.
        unsafe { hot::local_irq_restore(self.flags) };
    }
}

/// Disables interrupts, runs `f`, and puts interrupts back as they were.
#[inline]
pub fn with_irqs_saved<R>(f: impl FnOnce(&LocalInterruptDisabled) -> R) -> R {
    let flags = hot::local_irq_save();
    // SAFETY: Interrupts are disabled until the token is gone.
    let r = f(unsafe { LocalInterruptDisabled::assume_disabled() });
    // SAFETY: `flags` is what the counterpart returned.
    unsafe { hot::local_irq_restore(flags) };
    r
}

/// Reports to lockdep, context tracking and RCU that the guest is about to run.
///
/// # Safety
///
/// Until [`guest_state_exit`], which has to come, nothing may be called that can be instrumented,
/// or that uses RCU. The caller is in `.noinstr.text`.
#[inline(always)]
pub unsafe fn guest_state_enter(_: &LocalInterruptDisabled) {
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
pub unsafe fn guest_state_exit(_: &LocalInterruptDisabled, by_interrupt: bool) {
    // SAFETY: Interrupts are disabled. The function is in `.noinstr.text`.
    unsafe { bindings::kvm_guest_state_exit_irqoff(by_interrupt) };
}

/// Returns whether the thread has work to do before it may enter the guest: a signal, a reschedule.
#[inline]
pub fn work_pending() -> bool {
    hot::work_pending()
}
