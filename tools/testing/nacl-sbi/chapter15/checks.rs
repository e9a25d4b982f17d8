// SPDX-License-Identifier: GPL-2.0

//! The questions, one file for each group of functions.

pub mod csrs;
pub mod hfences;
pub mod memory;
pub mod srets;
