// SPDX-License-Identifier: GPL-2.0

//! The change between the host and its guest, and the parts of HS-mode that the host does not
//! execute itself: SRET and traps.

#![deny(unsafe_code)]

pub mod hs_mode;
pub mod interrupts;
mod switch;
