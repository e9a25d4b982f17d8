// SPDX-License-Identifier: GPL-2.0

//! Harts among each other.

#![deny(unsafe_code)]

pub mod remote;
pub mod start;
pub mod state;
