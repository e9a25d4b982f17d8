// SPDX-License-Identifier: GPL-2.0

//! Interrupts, by number and by bit.

#![deny(unsafe_code)]

pub const SUPERVISOR_SOFTWARE: u32 = 1;
pub const MACHINE_SOFTWARE: u32 = 3;
pub const SUPERVISOR_TIMER: u32 = 5;
pub const MACHINE_TIMER: u32 = 7;
pub const SUPERVISOR_EXTERNAL: u32 = 9;

/// Interrupts of the host, in the places of `sip` and `mip`.
pub const SSIP: u64 = 1 << SUPERVISOR_SOFTWARE;
pub const STIP: u64 = 1 << SUPERVISOR_TIMER;
pub const SEIP: u64 = 1 << SUPERVISOR_EXTERNAL;
/// The same, in the places of `hvip`.
pub const VSSIP: u64 = SSIP << 1;
pub const VSTIP: u64 = STIP << 1;
pub const VSEIP: u64 = SEIP << 1;

/// Interrupts of VS-level, in the places of `hip`.
pub const VS_INTERRUPTS: u64 = VSSIP | VSTIP | VSEIP;
