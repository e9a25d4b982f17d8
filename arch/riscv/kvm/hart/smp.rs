// SPDX-License-Identifier: GPL-2.0

//! Work on other harts.

use kernel::{
    bindings,
    prelude::*, //
};

/// Runs `f` on all harts that are online, in interrupt context, and waits for it.
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
