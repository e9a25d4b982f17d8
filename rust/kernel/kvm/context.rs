// SPDX-License-Identifier: GPL-2.0

//! What must stay on one hart.

use super::hot;
use crate::{
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

/// No vCPU is loaded on this CPU, and none will be, for as long as a reference to this exists. So
/// the registers by which guests run can be changed.
pub struct NoVcpu(NotThreadSafe);

impl NoVcpu {
    /// Assumes that no vCPU is loaded.
    ///
    /// # Safety
    ///
    /// No vCPU may be loaded on this CPU, nor may this thread leave the CPU for one where that may
    /// be so, for the whole of `'a`.
    #[inline]
    pub unsafe fn assume<'a>() -> &'a Self {
        const TOKEN: &NoVcpu = &NoVcpu(NotThreadSafe);
        TOKEN
    }
}

/// Disables interrupts, runs `f`, and puts interrupts back as they were.
///
/// The kernel's own guards of disabled interrupts do not notice the latter, so none that `f` makes
/// may outlast it. None does: they are not [`Send`], while `f` and what it returns are.
#[inline]
pub fn with_irqs_saved<R: Send>(f: impl FnOnce(&LocalInterruptDisabled) -> R + Send) -> R {
    // SAFETY: Neither `f` nor its result has a guard, or a place for one, because both are `Send`.
    unsafe { irqs_saved(f) }
}

/// Does the same as [`with_irqs_saved`] for any `f`.
///
/// # Safety
///
/// No guard of disabled interrupts that `f` makes may outlast `f`.
#[inline]
pub(super) unsafe fn irqs_saved<R>(f: impl FnOnce(&LocalInterruptDisabled) -> R) -> R {
    let flags = hot::local_irq_save();
    // SAFETY: Interrupts are disabled until the token is gone.
    let r = f(unsafe { LocalInterruptDisabled::assume_disabled() });
    // SAFETY: `flags` is what the counterpart returned.
    unsafe { hot::local_irq_restore(flags) };
    r
}

/// Returns whether the thread has work to do before it may enter the guest: a signal, a reschedule.
#[inline]
pub fn work_pending() -> bool {
    hot::work_pending()
}
