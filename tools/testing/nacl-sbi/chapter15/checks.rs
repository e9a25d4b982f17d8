// SPDX-License-Identifier: GPL-2.0

//! The checks, one file for each group of functions. Each depends on the state that the earlier
//! ones leave; `main()` has the order.

pub mod csrs;
pub mod hfences;
pub mod memory;
pub mod srets;
