// SPDX-License-Identifier: GPL-2.0

//! Messages that user space can cause.

use crate::{
    bindings,
    str::CStrExt as _, //
};

/// Returns whether a message that any user of `/dev/kvm` can cause may be logged now.
///
/// That is so for 10 messages in 5 seconds, unless the administrator has chosen otherwise
/// (`kernel.printk_ratelimit`). The kernel logs how many were left out.
#[inline]
pub fn may_log() -> bool {
    // SAFETY: The name is a string.
    unsafe { bindings::__printk_ratelimit(c"kvm".as_char_ptr()) != 0 }
}
