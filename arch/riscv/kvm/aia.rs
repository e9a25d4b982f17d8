// SPDX-License-Identifier: GPL-2.0

//! The interrupt controllers that a guest sees: an APLIC, and an IMSIC for each vCPU.
//!
//! | file | what it is |
//! | --- | --- |
//! | [`layout`] | what user space configures, and which address belongs to which interrupt file |
//! | [`aplic`] | an interrupt domain of an APLIC, which turns wires into messages |
//! | [`imsic`] | an interrupt file in memory, which takes messages |
//!
//! These are models of registers and depend on `core` alone: no lock, no memory allocation, no
//! hart. Whoever uses them holds a lock around each access.

pub mod aplic;
pub mod imsic;
pub mod layout;
