// SPDX-License-Identifier: GPL-2.0

//! Disabled interrupts, as a type. Linux 7.3 has this module itself.

use crate::{
    access_once::AccessOnce,
    bindings,
    percpu_static,
    sync::atomic::Atomic,
    types::NotThreadSafe, //
};

/// The interrupts of this CPU are disabled for as long as this, or a reference to this, exists.
pub struct LocalInterruptDisabled(NotThreadSafe);

/// How the interrupts of a CPU have been disabled by [`local_interrupt_disable`].
struct Disabled {
    /// How many tokens there are.
    tokens: Atomic<usize>,
    /// The state of interrupts before the first of them.
    flags: Atomic<usize>,
}

percpu_static! {
    static DISABLED: Disabled = Disabled {
        tokens: Atomic::new(0),
        flags: Atomic::new(0),
    };
}

/// Disables interrupts on this CPU until the last token of those that exist at a time is dropped,
/// in whatever order they are.
#[inline(never)]
pub fn local_interrupt_disable() -> LocalInterruptDisabled {
    // SAFETY: Always safe to call. Dropping the last token undoes it.
    let flags = unsafe { bindings::local_irq_save() };
    let token = LocalInterruptDisabled(NotThreadSafe);
    // Nothing but this CPU accesses its instance, and interrupts are disabled while it does.
    let disabled = DISABLED.get(&token);
    let tokens = disabled.tokens.read_once();
    if tokens == 0 {
        disabled.flags.write_once(flags);
    }
    disabled.tokens.write_once(tokens + 1);
    token
}

impl Drop for LocalInterruptDisabled {
    #[inline(never)]
    fn drop(&mut self) {
        let disabled = DISABLED.get(self);
        let tokens = disabled.tokens.read_once() - 1;
        disabled.tokens.write_once(tokens);
        if tokens == 0 {
            // SAFETY: Undoes what the first token has done, for none is left.
            unsafe { bindings::local_irq_restore(disabled.flags.read_once()) };
        }
    }
}

impl LocalInterruptDisabled {
    /// Assumes that interrupts are disabled already.
    ///
    /// # Safety
    ///
    /// Interrupts must stay disabled for the whole of `'a`.
    #[inline]
    pub unsafe fn assume_disabled<'a>() -> &'a Self {
        const TOKEN: &LocalInterruptDisabled = &LocalInterruptDisabled(NotThreadSafe);
        TOKEN
    }
}
