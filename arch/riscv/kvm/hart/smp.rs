// SPDX-License-Identifier: GPL-2.0

//! Calls of functions on other harts.

use kernel::{
    bindings,
    cpu::CpuId,
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

/// Runs `f` on a hart, with interrupts disabled there, and waits for the result. Returns [`None`]
/// if the hart is offline. May not be called with interrupts disabled.
pub(crate) fn on<R: Send>(
    cpu: CpuId,
    f: impl FnOnce(&LocalInterruptDisabled) -> R + Send,
) -> Option<R> {
    /// # Safety
    ///
    /// `info` must point to a `Call<F, R>` that nobody else accesses. Interrupts must be disabled.
    unsafe extern "C" fn call<F: FnOnce(&LocalInterruptDisabled) -> R, R>(info: *mut c_void) {
        // SAFETY: By the requirement.
        let (call, irq) = unsafe {
            (
                &mut *info.cast::<Call<F, R>>(),
                LocalInterruptDisabled::assume_disabled(),
            )
        };
        if let Some(f) = call.f.take() {
            call.result = Some(f(irq));
        }
    }

    fn caller<F: FnOnce(&LocalInterruptDisabled) -> R, R>(
        _: &Call<F, R>,
    ) -> unsafe extern "C" fn(*mut c_void) {
        call::<F, R>
    }

    let mut this = Call {
        f: Some(f),
        result: None,
    };
    let function = caller(&this);
    // A number in Linux 7.2, a truth value since.
    #[allow(clippy::useless_conversion)]
    let wait = true.into();
    // SAFETY: `this` outlives the call, which waits. Functions are called with interrupts disabled.
    unsafe {
        bindings::smp_call_function_single(
            cpu.as_u32() as c_int,
            Some(function),
            (&raw mut this).cast(),
            wait,
        )
    };
    this.result
}

/// A call of [`on`]: the function before it, and its result after it.
struct Call<F, R> {
    f: Option<F>,
    result: Option<R>,
}
