// SPDX-License-Identifier: GPL-2.0

//! The hart and the devices below all that the firmware does.

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

/// The most harts that there may be.
pub const MAX_HARTS: usize = 8;
