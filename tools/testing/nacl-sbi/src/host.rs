// SPDX-License-Identifier: GPL-2.0

//! The host, as it believes to run.

#![deny(unsafe_code)]

pub mod config;
pub mod interrupts;
pub mod reset;
pub mod virtual_csr;
