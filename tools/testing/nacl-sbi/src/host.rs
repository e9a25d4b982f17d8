// SPDX-License-Identifier: GPL-2.0

//! The host, as it believes to run.

pub mod virtual_csr;
