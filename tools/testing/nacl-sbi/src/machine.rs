// SPDX-License-Identifier: GPL-2.0

//! The machine as the firmware finds it: this hart and the devices. Nothing here knows of hosts and
//! guests.

pub mod console;
pub mod csr;
pub mod entry;
pub mod fence;
pub mod fields;
pub mod frame;
pub mod hlv;
pub mod irq;
pub mod platform;
pub mod trap;

/// The largest number of harts that the firmware supports.
pub const MAX_HARTS: usize = 8;
