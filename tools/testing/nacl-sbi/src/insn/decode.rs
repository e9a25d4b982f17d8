// SPDX-License-Identifier: GPL-2.0

//! The fields of an instruction; depends on `core` alone.

/// An instruction of 32 bits.
pub struct Insn(pub u64);

impl Insn {
    pub fn opcode(&self) -> u64 {
        self.0 & 0x7f
    }

    pub fn rd(&self) -> usize {
        (self.0 >> 7 & 0x1f) as usize
    }

    pub fn funct3(&self) -> u64 {
        self.0 >> 12 & 7
    }

    pub fn rs1(&self) -> usize {
        (self.0 >> 15 & 0x1f) as usize
    }

    pub fn rs2(&self) -> usize {
        (self.0 >> 20 & 0x1f) as usize
    }

    pub fn funct7(&self) -> u64 {
        self.0 >> 25 & 0x7f
    }

    pub fn csr(&self) -> u16 {
        (self.0 >> 20 & 0xfff) as u16
    }
}
