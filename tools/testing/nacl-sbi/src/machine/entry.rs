// SPDX-License-Identifier: GPL-2.0

//! The code that enters Rust after reset and at each trap, and that leaves M-mode.

use super::{frame::Frame, MAX_HARTS};

/// The size of a hart's stack, as a power of two.
pub const STACK_SHIFT: usize = 14;

extern "C" {
    /// The page where HS-mode takes interrupts of S-level. [`Frame::skip_hs_mode`] says why.
    pub static hs_mode_entry: u8;

    /// Leaves M-mode for the place that `frame` names, with its registers. The stack is free
    /// afterwards.
    pub fn resume(frame: *const Frame) -> !;
}

#[repr(C, align(16))]
struct Stacks([[u8; 1 << STACK_SHIFT]; MAX_HARTS]);

#[no_mangle]
static mut STACKS: Stacks = Stacks([[0; 1 << STACK_SHIFT]; MAX_HARTS]);

/// Defines the code that enters Rust. `boot` is called at reset, on a stack of the hart's own;
/// `trap` at each trap to M-mode, with the registers of the code that it interrupted.
///
/// Both functions stand on floors above this file, so the crate root passes them in.
macro_rules! define_entry {
    (boot: $boot:path, trap: $trap:path $(,)?) => {
        core::arch::global_asm!(
            // a0: the hart, a1: the device tree, a2: `NextStage` of boot.rs.
            ".section .text.entry, \"ax\"",
            ".globl _start",
            "_start:",
            "	csrw	mie, zero",
            "	li	t0, {max_harts}",
            "0:	bgeu	a0, t0, 0b",
            "	la	sp, STACKS",
            "	addi	t1, a0, 1",
            "	slli	t1, t1, {stack_shift}",
            "	add	sp, sp, t1",
            "	csrw	mscratch, sp",
            "	la	t0, trap_entry",
            "	csrw	mtvec, t0",
            "	call	{boot}",
            // mscratch holds the upper end of the hart's stack.
            ".align 2",
            ".globl trap_entry",
            "trap_entry:",
            "	csrrw	sp, mscratch, sp",
            "	addi	sp, sp, -{frame}",
            "	sd	zero, 0(sp)",
            "	sd	x1, 8(sp)",
            concat!(
                "	.irp n, 3,4,5,6,7,8,9,10,11,12,13,14,15,",
                "16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31"
            ),
            "	sd	x\\n, 8*\\n(sp)",
            "	.endr",
            "	addi	t0, sp, {frame}",
            "	csrrw	t1, mscratch, t0",
            "	sd	t1, 16(sp)",
            "	csrr	t0, mepc",
            "	sd	t0, 8*32(sp)",
            "	csrr	t0, mstatus",
            "	sd	t0, 8*33(sp)",
            "	mv	a0, sp",
            "	call	{trap}",
            "	mv	a0, sp",
            ".globl resume",
            "resume:",
            "	ld	t0, 8*32(a0)",
            "	csrw	mepc, t0",
            "	ld	t0, 8*33(a0)",
            "	csrw	mstatus, t0",
            concat!(
                "	.irp n, 1,2,3,4,5,6,7,8,9,11,12,13,14,15,",
                "16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31"
            ),
            "	ld	x\\n, 8*\\n(a0)",
            "	.endr",
            "	ld	a0, 80(a0)",
            "	mret",
            // This page is the only one of the firmware that HS-mode may execute.
            ".align 12",
            ".globl hs_mode_entry",
            "hs_mode_entry:",
            "	ecall",
            ".align 12",
            ".text",
            max_harts = const $crate::machine::MAX_HARTS,
            stack_shift = const $crate::machine::entry::STACK_SHIFT,
            frame = const core::mem::size_of::<$crate::machine::frame::Frame>(),
            boot = sym $boot,
            trap = sym $trap,
        );
    };
}
pub(crate) use define_entry;

const _: () = assert!(core::mem::size_of::<Frame>() % 16 == 0);
