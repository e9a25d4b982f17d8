// SPDX-License-Identifier: GPL-2.0

//! The host in VS-mode: its view of the H CSRs, and the CSRs of the hart while it runs.

#![deny(unsafe_code)]

pub mod config;
pub mod interrupts;
pub mod reset;
pub mod virtual_csr;
