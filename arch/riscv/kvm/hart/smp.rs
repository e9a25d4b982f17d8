// SPDX-License-Identifier: GPL-2.0

//! Calls of functions on other harts.

use kernel::{
    bindings,
    interrupt::LocalInterruptDisabled,
    prelude::*, //
};

/// Runs `f` on all online harts, in interrupt context, and waits until it has returned on each. May
/// not be called with interrupts disabled.
pub(crate) fn on_each<F: Fn(&LocalInterruptDisabled) + Sync>(f: F) {
    /// # Safety
    ///
    /// `info` must point to an `F`. Interrupts must be disabled.
    unsafe extern "C" fn call<F: Fn(&LocalInterruptDisabled)>(info: *mut c_void) {
        // SAFETY: By the requirement.
        let (f, irq) = unsafe {
            (
                &*info.cast::<F>(),
                LocalInterruptDisabled::assume_disabled(),
            )
        };
        f(irq);
    }

    // SAFETY: `f` outlives the call, which waits. Functions are called with interrupts disabled.
    unsafe {
        bindings::on_each_cpu_cond_mask(
            None,
            Some(call::<F>),
            (&raw const f).cast_mut().cast(),
            true,
            &raw const bindings::__cpu_online_mask,
        )
    };
}
