// SPDX-License-Identifier: GPL-2.0

//! The instructions HLV, HLVX and HSV.

use super::{csr, frame::Mstatus, trap::Trap};
use core::arch::asm;

/// An instruction that accesses a guest's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    LoadB,
    LoadBu,
    LoadH,
    LoadHu,
    FetchHu,
    LoadW,
    LoadWu,
    FetchWu,
    LoadD,
    StoreB,
    StoreH,
    StoreW,
    StoreD,
}

impl Op {
    /// Decodes `funct7`, and `rs2` where that belongs to the opcode.
    pub fn decode(funct7: u64, rs2: u64) -> Option<Self> {
        Some(match (funct7, rs2) {
            (0x30, 0) => Self::LoadB,
            (0x30, 1) => Self::LoadBu,
            (0x32, 0) => Self::LoadH,
            (0x32, 1) => Self::LoadHu,
            (0x32, 3) => Self::FetchHu,
            (0x34, 0) => Self::LoadW,
            (0x34, 1) => Self::LoadWu,
            (0x34, 3) => Self::FetchWu,
            (0x36, 0) => Self::LoadD,
            (0x31, _) => Self::StoreB,
            (0x33, _) => Self::StoreH,
            (0x35, _) => Self::StoreW,
            (0x37, _) => Self::StoreD,
            _ => return None,
        })
    }

    pub fn is_store(self) -> bool {
        matches!(
            self,
            Self::StoreB | Self::StoreH | Self::StoreW | Self::StoreD
        )
    }

    /// Returns whether the access needs execute permission in place of read permission.
    pub fn is_fetch(self) -> bool {
        matches!(self, Self::FetchHu | Self::FetchWu)
    }
}

/// Executes an instruction with the translation that the hart's CSRs describe. Returns the value
/// that it loads, or its trap.
pub fn execute(op: Op, address: u64, value: u64) -> Result<u64, Trap> {
    macro_rules! execute {
        ($insn:literal, $result:ident, $trapped:ident) => {
            // SAFETY: Accesses only memory that the guest's translation leads to. `mtvec` points
            // behind the access meanwhile, so that a trap ends here.
            unsafe {
                asm!(
                    ".option push",
                    ".option arch, +h",
                    "la {old}, 2f",
                    "csrrw {old}, mtvec, {old}",
                    "li {trapped}, 0",
                    $insn,
                    "j 3f",
                    ".align 2",
                    "2:",
                    "li {trapped}, 1",
                    "3:",
                    "csrw mtvec, {old}",
                    ".option pop",
                    old = out(reg) _,
                    trapped = out(reg) $trapped,
                    value = inout(reg) value => $result,
                    address = in(reg) address,
                )
            }
        };
    }

    let result: u64;
    let trapped: u64;
    match op {
        Op::LoadB => execute!("hlv.b {value}, ({address})", result, trapped),
        Op::LoadBu => execute!("hlv.bu {value}, ({address})", result, trapped),
        Op::LoadH => execute!("hlv.h {value}, ({address})", result, trapped),
        Op::LoadHu => execute!("hlv.hu {value}, ({address})", result, trapped),
        Op::FetchHu => execute!("hlvx.hu {value}, ({address})", result, trapped),
        Op::LoadW => execute!("hlv.w {value}, ({address})", result, trapped),
        Op::LoadWu => execute!("hlv.wu {value}, ({address})", result, trapped),
        Op::FetchWu => execute!("hlvx.wu {value}, ({address})", result, trapped),
        Op::LoadD => execute!("hlv.d {value}, ({address})", result, trapped),
        Op::StoreB => execute!("hsv.b {value}, ({address})", result, trapped),
        Op::StoreH => execute!("hsv.h {value}, ({address})", result, trapped),
        Op::StoreW => execute!("hsv.w {value}, ({address})", result, trapped),
        Op::StoreD => execute!("hsv.d {value}, ({address})", result, trapped),
    }
    if trapped == 0 {
        return Ok(result);
    }
    Err(Trap::last(Mstatus(csr::read(csr::MSTATUS))))
}
