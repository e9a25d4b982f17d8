// SPDX-License-Identifier: GPL-2.0

//! All that moves between host and guest on one hart.

#![allow(unsafe_code)]

pub(crate) mod fp;
pub(crate) mod guest_load;
pub(crate) mod regs;
pub(crate) mod user_csrs;
pub(crate) mod vector;
pub(crate) mod world_switch;
