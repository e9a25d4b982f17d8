// SPDX-License-Identifier: GPL-2.0

//! The machine as the backend finds it: the hart's CSRs and fences, and the firmware below.

#![allow(unsafe_code)]

pub(crate) mod cache;
pub(crate) mod cpu_pm;
pub(crate) mod csr;
pub(crate) mod features;
pub(crate) mod fence;
pub(crate) mod firmware;
pub(crate) mod guest_config;
pub(crate) mod guest_csr;
pub(crate) mod guest_files;
pub(crate) mod nacl;
pub(crate) mod pmu;
pub(crate) mod smp;
pub(crate) mod state;
pub(crate) mod time_base;
pub(crate) mod trap;
pub(crate) mod virtualization;
