// SPDX-License-Identifier: GPL-2.0

//! What the callback of a timer returns, under the names that bindgen gives it.

use crate::bindings;

/// The timer stays off.
pub(super) const NO_RESTART: bindings::hrtimer_restart =
    bindings::hrtimer_restart_HRTIMER_NORESTART;

/// The timer is on again, with the deadline that the callback has set.
pub(super) const RESTART: bindings::hrtimer_restart = bindings::hrtimer_restart_HRTIMER_RESTART;
