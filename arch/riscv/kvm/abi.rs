// SPDX-License-Identifier: GPL-2.0

//! Formats that a specification or the uapi defines.
//!
//! These modules depend on `core` alone, so that the same files are tested and fuzzed on the build
//! machine.

pub mod aia;
pub mod envcfg;
pub mod fwft;
pub mod insn;
pub mod nacl;
pub mod nospec;
pub mod one_reg;
pub mod pmu;
pub mod pte;
pub mod sbi;
pub mod warl;
