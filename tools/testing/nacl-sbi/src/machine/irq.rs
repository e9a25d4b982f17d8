// SPDX-License-Identifier: GPL-2.0

//! Interrupts: their numbers, and their bits in `mip`, `sip` and `hvip`.

#![deny(unsafe_code)]

pub const SUPERVISOR_SOFTWARE: u32 = 1;
pub const MACHINE_SOFTWARE: u32 = 3;
pub const SUPERVISOR_TIMER: u32 = 5;
pub const MACHINE_TIMER: u32 = 7;
pub const SUPERVISOR_EXTERNAL: u32 = 9;

/// The host's interrupts, as bits of `sip` and `mip`.
pub const SSIP: u64 = 1 << SUPERVISOR_SOFTWARE;
pub const STIP: u64 = 1 << SUPERVISOR_TIMER;
pub const SEIP: u64 = 1 << SUPERVISOR_EXTERNAL;
/// The same interrupts, as bits of `hvip`.
pub const VSSIP: u64 = SSIP << 1;
pub const VSTIP: u64 = STIP << 1;
pub const VSEIP: u64 = SEIP << 1;

/// All interrupts of VS-level, as bits of `hip`.
pub const VS_INTERRUPTS: u64 = VSSIP | VSTIP | VSEIP;
