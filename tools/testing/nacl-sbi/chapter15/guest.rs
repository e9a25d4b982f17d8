// SPDX-License-Identifier: GPL-2.0

//! A guest whose only instruction is an ECALL, and the code that enters it.

use crate::csr::csr;
use core::arch::global_asm;

/// The registers of the guest at its exit, and the CSRs that the trap wrote.
#[repr(C)]
pub struct Stay {
    pub x: [u64; 32],
    pub scause: u64,
    pub sepc: u64,
}

impl Stay {
    pub fn new() -> Self {
        Self {
            x: [0; 32],
            scause: 0,
            sepc: 0,
        }
    }
}

/// The ways in which `enter()` enters the guest: SRET, or SYNC_SRET.
pub const BY_SRET: usize = 0;
pub const BY_CALL: usize = 1;
/// The value that `enter()` returns if SRET stayed in the host.
pub const NOT_LEFT: i64 = 1;

extern "C" {
    /// Enters the guest, and returns after its ECALL or an interrupt. The result is zero, or, if
    /// the guest was not entered, [`NOT_LEFT`] or the error of the call.
    pub fn enter(stay: *mut Stay, how: usize) -> i64;
    /// The guest's instruction.
    pub static guest: u8;
}

global_asm!(
    ".pushsection .text",
    // The guest exits with the registers that it was entered with.
    ".align 2",
    ".globl guest",
    "guest:",
    "	ecall",
    // If SRET stays in the host, the ECALL is a harmless call, and execution continues here.
    "	li	a0, {not_left}",
    "	j	2f",
    ".globl enter",
    "enter:",
    "	addi	sp, sp, -144",
    "	sd	ra, 0(sp)",
    "	sd	s0, 8(sp)",
    "	sd	s1, 16(sp)",
    "	sd	s2, 24(sp)",
    "	sd	s3, 32(sp)",
    "	sd	s4, 40(sp)",
    "	sd	s5, 48(sp)",
    "	sd	s6, 56(sp)",
    "	sd	s7, 64(sp)",
    "	sd	s8, 72(sp)",
    "	sd	s9, 80(sp)",
    "	sd	s10, 88(sp)",
    "	sd	s11, 96(sp)",
    "	sd	gp, 104(sp)",
    "	sd	tp, 112(sp)",
    "	sd	a0, 120(sp)",
    "	csrw	sscratch, sp",
    "	la	t0, 1f",
    "	csrrw	t0, stvec, t0",
    "	sd	t0, 128(sp)",
    "	la	t0, guest",
    "	csrw	sepc, t0",
    // sstatus.SPP: the guest begins in VS-mode.
    "	li	t0, 0x100",
    "	csrs	sstatus, t0",
    "	li	a7, 0x10",
    "	li	a6, 0",
    "	bnez	a1, 3f",
    "	sret",
    "3:	li	a7, 0x4e41434c",
    "	li	a6, 4",
    "	ecall",
    "	j	2f",
    ".align 2",
    "1:	csrrw	sp, sscratch, sp",
    "	sd	a0, -8(sp)",
    "	ld	a0, 120(sp)",
    "	.irp n, 5,6,7,8,9,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
    "	sd	x\\n, 8*\\n(a0)",
    "	.endr",
    "	sd	x1, 8(a0)",
    "	sd	x3, 24(a0)",
    "	sd	x4, 32(a0)",
    "	csrr	t0, sscratch",
    "	sd	t0, 16(a0)",
    "	ld	t0, -8(sp)",
    "	sd	t0, 80(a0)",
    "	csrr	t0, scause",
    "	sd	t0, 256(a0)",
    "	csrr	t0, sepc",
    "	sd	t0, 264(a0)",
    "	li	a0, 0",
    "2:	ld	t0, 128(sp)",
    "	csrw	stvec, t0",
    "	ld	ra, 0(sp)",
    "	ld	s0, 8(sp)",
    "	ld	s1, 16(sp)",
    "	ld	s2, 24(sp)",
    "	ld	s3, 32(sp)",
    "	ld	s4, 40(sp)",
    "	ld	s5, 48(sp)",
    "	ld	s6, 56(sp)",
    "	ld	s7, 64(sp)",
    "	ld	s8, 72(sp)",
    "	ld	s9, 80(sp)",
    "	ld	s10, 88(sp)",
    "	ld	s11, 96(sp)",
    "	ld	gp, 104(sp)",
    "	ld	tp, 112(sp)",
    "	addi	sp, sp, 144",
    "	ret",
    ".popsection",
    not_left = const NOT_LEFT,
);

pub const ECALL_VS: u64 = 10;
pub const SOFTWARE_INTERRUPT: u64 = 1 << 63 | 1;

/// Prepares the CSRs for the guest, which runs with the host's addresses.
pub fn make_guest() {
    csr!(write "hgatp", 0);
    csr!(write "vsatp", 0);
    csr!(write "hedeleg", 0);
}
