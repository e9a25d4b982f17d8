// SPDX-License-Identifier: GPL-2.0

//! The CSRs of this hart. They are numbers, because the code works on lists of CSRs.

use core::arch::asm;

macro_rules! csrs {
    ($($name:ident = $number:literal,)*) => {
        $(pub const $name: u16 = $number;)*

        /// Reads a CSR, which the hart must have.
        #[inline]
        pub fn read(csr: u16) -> u64 {
            let value: u64;
            match csr {
                // SAFETY: Reading one of these CSRs has no side effect.
                $($number => unsafe { asm!("csrr {}, {}", out(reg) value, const $number) },)*
                _ => panic!("CSR {csr:#x} is not in the list"),
            }
            value
        }

        /// Writes a CSR, which the hart must have.
        #[inline]
        pub fn write(csr: u16, value: u64) {
            match csr {
                // SAFETY: These CSRs affect less privileged modes, or the caller wants the effect
                // on M-mode.
                $($number => unsafe { asm!("csrw {}, {}", const $number, in(reg) value) },)*
                _ => panic!("CSR {csr:#x} is not in the list"),
            }
        }

        /// Returns whether the hart has a CSR.
        pub fn exists(csr: u16) -> bool {
            let cause: u64;
            match csr {
                // SAFETY: `mtvec` points behind the access meanwhile, so that a trap ends here.
                $($number => unsafe {
                    asm!(
                        "la {old}, 2f",
                        "csrrw {old}, mtvec, {old}",
                        "li {cause}, 0",
                        "csrr zero, {csr}",
                        "j 3f",
                        ".align 2",
                        "2:",
                        "li {cause}, 1",
                        "3:",
                        "csrw mtvec, {old}",
                        csr = const $number,
                        old = out(reg) _,
                        cause = out(reg) cause,
                    )
                },)*
                _ => panic!("CSR {csr:#x} is not in the list"),
            }
            cause == 0
        }
    };
}

csrs! {
    SEED = 0x015,
    STVEC = 0x105,
    SEPC = 0x141,
    STIMECMP = 0x14d,
    SATP = 0x180,
    VSSTATUS = 0x200,
    VSIE = 0x204,
    VSTVEC = 0x205,
    VSSCRATCH = 0x240,
    VSEPC = 0x241,
    VSCAUSE = 0x242,
    VSTVAL = 0x243,
    VSIP = 0x244,
    VSTIMECMP = 0x24d,
    VSISELECT = 0x250,
    VSATP = 0x280,
    MSTATUS = 0x300,
    MEDELEG = 0x302,
    MIDELEG = 0x303,
    MIE = 0x304,
    MCOUNTEREN = 0x306,
    MENVCFG = 0x30a,
    MSTATEEN0 = 0x30c,
    MSTATEEN1 = 0x30d,
    MSTATEEN2 = 0x30e,
    MSTATEEN3 = 0x30f,
    MCAUSE = 0x342,
    MTVAL = 0x343,
    MIP = 0x344,
    MTINST = 0x34a,
    MTVAL2 = 0x34b,
    PMPCFG0 = 0x3a0,
    PMPADDR0 = 0x3b0,
    PMPADDR1 = 0x3b1,
    PMPADDR2 = 0x3b2,
    HSTATUS = 0x600,
    HEDELEG = 0x602,
    HIDELEG = 0x603,
    HIE = 0x604,
    HTIMEDELTA = 0x605,
    HCOUNTEREN = 0x606,
    HGEIE = 0x607,
    HVIEN = 0x608,
    HVICTL = 0x609,
    HENVCFG = 0x60a,
    HSTATEEN0 = 0x60c,
    HSTATEEN1 = 0x60d,
    HSTATEEN2 = 0x60e,
    HSTATEEN3 = 0x60f,
    HTVAL = 0x643,
    HIP = 0x644,
    HVIP = 0x645,
    HVIPRIO1 = 0x646,
    HVIPRIO2 = 0x647,
    HTINST = 0x64a,
    HGATP = 0x680,
    MSECCFG = 0x747,
    TIME = 0xc01,
    HGEIP = 0xe12,
    MHARTID = 0xf14,
}

/// The number of places for H CSRs in the CSR space of the shared memory.
pub const H_COUNT: usize = 1024;

/// Returns the place of an H CSR in the CSR space.
pub fn h_index(csr: u16) -> usize {
    ((csr & 0xc00) >> 2 | csr & 0xff) as usize
}

/// Returns the number of the hart that runs this.
pub fn hart_id() -> usize {
    read(MHARTID) as usize
}

/// Sets bits of `mie`.
#[inline]
pub fn set_mie(bits: u64) {
    // SAFETY: Interrupts are not taken while in M-mode.
    unsafe { asm!("csrs mie, {}", in(reg) bits) };
}

/// Clears bits of `mie`.
#[inline]
pub fn clear_mie(bits: u64) {
    // SAFETY: Interrupts are not taken while in M-mode.
    unsafe { asm!("csrc mie, {}", in(reg) bits) };
}

/// Reads the entropy source of a hart that has one. The access must also write, so `read()` does
/// not work.
pub fn read_seed() -> u64 {
    let value;
    // SAFETY: The write that the access includes has no effect.
    unsafe { asm!("csrrw {}, seed, zero", out(reg) value) };
    value
}
