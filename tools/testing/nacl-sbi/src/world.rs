// SPDX-License-Identifier: GPL-2.0

//! From the host to its guest, and back: what SRET and traps do in HS-mode, and what of the hart's
//! state belongs to whom.

#![deny(unsafe_code)]

pub mod hs_mode;
pub mod interrupts;
mod switch;
