// SPDX-License-Identifier: GPL-2.0

//! Disabled interrupts, as a type. Linux 7.3 has this module itself.

use crate::types::NotThreadSafe;

/// The interrupts of this CPU are disabled for as long as a reference to this exists.
pub struct LocalInterruptDisabled(NotThreadSafe);

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
