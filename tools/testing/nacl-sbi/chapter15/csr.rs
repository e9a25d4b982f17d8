// SPDX-License-Identifier: GPL-2.0

//! The H CSRs that the checks use.

pub const VSIE: usize = 0x204;
pub const VSSCRATCH: usize = 0x240;
pub const VSTVAL: usize = 0x243;
pub const HSTATUS: usize = 0x600;
pub const HIDELEG: usize = 0x603;
pub const HIE: usize = 0x604;
pub const HIP: usize = 0x644;
pub const HVIP: usize = 0x645;

pub const SPV: u64 = 1 << 7;
pub const SPVP: u64 = 1 << 8;

/// Reads or writes an H CSR by instruction.
macro_rules! csr {
    (read $csr:literal) => {{
        let value: u64;
        // SAFETY: Reading an H CSR has no side effect.
        unsafe { core::arch::asm!(concat!("csrr {}, ", $csr), out(reg) value) };
        value
    }};
    (write $csr:literal, $value:expr) => {{
        let value: u64 = $value;
        // SAFETY: An H CSR affects guests only, and none runs now.
        unsafe { core::arch::asm!(concat!("csrw ", $csr, ", {}"), in(reg) value) };
    }};
}
pub(crate) use csr;
