// SPDX-License-Identifier: GPL-2.0

//! A trap, as the hart reports it.

#![deny(unsafe_code)]

use super::{csr, frame::Mstatus};

/// Exceptions, by number.
pub mod exception {
    pub const ILLEGAL_INSTRUCTION: u64 = 2;
    pub const ECALL_HS: u64 = 9;
    pub const ECALL_VS: u64 = 10;
    pub const VIRTUAL_INSTRUCTION: u64 = 22;
}

const INTERRUPT: u64 = 1 << 63;

/// A trap: the values that it writes to CSRs.
#[derive(Clone, Copy, Debug)]
pub struct Trap {
    pub cause: u64,
    pub tval: u64,
    pub tval2: u64,
    pub tinst: u64,
    pub gva: bool,
}

impl Trap {
    /// Reads the last trap to M-mode, which left this `mstatus`.
    pub fn last(mstatus: Mstatus) -> Self {
        Self {
            cause: csr::read(csr::MCAUSE),
            tval: csr::read(csr::MTVAL),
            tval2: csr::read(csr::MTVAL2),
            tinst: csr::read(csr::MTINST),
            gva: mstatus.gva(),
        }
    }

    /// Returns the trap of an interrupt.
    pub fn interrupt(number: u32) -> Self {
        Self {
            cause: INTERRUPT | u64::from(number),
            tval: 0,
            tval2: 0,
            tinst: 0,
            gva: false,
        }
    }

    /// Returns the trap of an illegal instruction.
    pub fn illegal(insn: u64) -> Self {
        Self {
            cause: exception::ILLEGAL_INSTRUCTION,
            tval: insn,
            tval2: 0,
            tinst: 0,
            gva: false,
        }
    }

    pub fn is_interrupt(&self) -> bool {
        self.cause & INTERRUPT != 0
    }

    /// Returns the number of the interrupt or exception.
    pub fn number(&self) -> u64 {
        self.cause & !INTERRUPT
    }
}
