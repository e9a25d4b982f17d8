// SPDX-License-Identifier: GPL-2.0

//! The hart and the devices below all that the firmware does.

pub mod csr;
pub mod entry;
pub mod fence;
pub mod hlv;
pub mod platform;
