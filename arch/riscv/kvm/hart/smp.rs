// SPDX-License-Identifier: GPL-2.0

//! Calls of functions on other harts.

use kernel::{
    bindings,
    prelude::*, //
};

/// Runs `f` on all online harts, in interrupt context, and waits until it has returned on each.
pub(crate) fn on_each(f: fn()) {
    /// # Safety
    ///
    /// `info` must point to a `fn()`.
    unsafe extern "C" fn call(info: *mut c_void) {
        // SAFETY: By the requirement.
        let f = unsafe { *info.cast::<fn()>() };
        f();
    }

    let mut f = f;
    // SAFETY: `f` outlives the call, which waits.
    unsafe {
        bindings::on_each_cpu_cond_mask(
            None,
            Some(call),
            (&raw mut f).cast(),
            true,
            &raw const bindings::__cpu_online_mask,
        )
    };
}
