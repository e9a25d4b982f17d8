// SPDX-License-Identifier: GPL-2.0

//! The part that exists for tests alone: records of the host's actions, faults that are injected,
//! and the way to ask for both.

pub mod backdoor;
pub mod counters;
pub mod fence_log;
pub mod misuse;
