// SPDX-License-Identifier: GPL-2.0

//! Operations between harts: they start and stop, interrupt each other, and fence for each other.

#![deny(unsafe_code)]

pub mod remote;
pub mod start;
pub mod state;
