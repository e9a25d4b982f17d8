// SPDX-License-Identifier: GPL-2.0

//! What is done with the shared memory of nested acceleration (SBI specification, chapter 15).

#![deny(unsafe_code)]

pub mod csr_space;
pub mod hfence_queue;
