// SPDX-License-Identifier: GPL-2.0

//! What tests see of the firmware, and what they make go wrong in it.

pub mod backdoor;
pub mod counters;
pub mod fence_log;
pub mod misuse;
