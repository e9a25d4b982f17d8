// SPDX-License-Identifier: GPL-2.0

//! What the handler of an interrupt returns, under the name that bindgen gives it.

use crate::bindings;

/// The interrupt has been handled.
pub(super) const HANDLED: bindings::irqreturn_t = bindings::irqreturn_IRQ_HANDLED;
