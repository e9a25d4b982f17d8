// SPDX-License-Identifier: GPL-2.0

//! The contents of the shared memory of nested acceleration (SBI specification, chapter 15): values
//! that are published, and requests that are carried out. The functions that the host calls are in
//! `sbi::nacl`.

#![deny(unsafe_code)]

pub mod csr_space;
pub mod hfence_queue;
