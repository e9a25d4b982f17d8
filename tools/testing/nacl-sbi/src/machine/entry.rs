// SPDX-License-Identifier: GPL-2.0

//! From reset to Rust, and in and out of M-mode.

use crate::machine::csr;
use core::arch::global_asm;

/// The most harts that there may be.
pub const MAX_HARTS: usize = 8;
/// The size of a hart's stack, as the power of two.
const STACK_SHIFT: usize = 14;

/// The registers of whom M-mode has interrupted.
#[repr(C)]
pub struct Frame {
    /// `x0` to `x31`; the first is zero.
    pub x: [u64; 32],
    pub mepc: u64,
    pub mstatus: Mstatus,
    _align: [u64; 0],
}

/// `mstatus` as a trap left it and MRET will use it.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Mstatus(pub u64);

impl Mstatus {
    /// Fields that are alike in `mstatus` and `sstatus`.
    pub const FS_VS: u64 = 3 << 13 | 3 << 9;
    pub const MXR: u64 = 1 << 19;
    const MPP_SHIFT: u32 = 11;
    const GVA: u64 = 1 << 38;
    const MPV: u64 = 1 << 39;

    /// The privilege that was interrupted, and will be returned to.
    pub fn mpp(self) -> u64 {
        self.0 >> Self::MPP_SHIFT & 3
    }

    /// Whether V was 1.
    pub fn mpv(self) -> bool {
        self.0 & Self::MPV != 0
    }

    /// Whether the trap wrote a guest's virtual address to `mtval`.
    pub fn gva(self) -> bool {
        self.0 & Self::GVA != 0
    }

    /// What it takes to return to V=1 with this privilege: floating-point and vector registers
    /// belong to `fs_vs`, in place.
    pub fn to_virtual(privilege: u64, fs_vs: u64, mxr: u64) -> Self {
        Self(Self::MPV | (privilege & 3) << Self::MPP_SHIFT | fs_vs & Self::FS_VS | mxr & Self::MXR)
    }
}

/// The privileges.
pub const USER: u64 = 0;
pub const SUPERVISOR: u64 = 1;
pub const MACHINE: u64 = 3;

impl Frame {
    /// Where a hart starts or resumes: with these two arguments, and nothing else known.
    pub fn starting(pc: u64, a0: u64, a1: u64) -> Self {
        let mut frame = Self {
            x: [0; 32],
            mepc: pc,
            mstatus: Mstatus::to_virtual(SUPERVISOR, Mstatus::FS_VS, 0),
            _align: [],
        };
        frame.x[10] = a0;
        frame.x[11] = a1;
        frame
    }

    /// If it was the firmware's own HS-mode that was interrupted: goes back to who that had
    /// interrupted.
    ///
    /// Interrupts of S-level are delegated to HS-mode, of which all that there is is an ECALL. They
    /// might come to M-mode at once; but QEMU shows V=1 those bits of `sie` and `sip` only that are
    /// delegated in `mideleg`.
    pub fn skip_hs_mode(&mut self) {
        if self.mstatus.mpv() {
            return;
        }
        const SPP_SHIFT: u32 = 8;
        let privilege = self.mstatus.0 >> SPP_SHIFT & 1;
        self.mepc = csr::read(csr::SEPC);
        self.mstatus = Mstatus::to_virtual(privilege, self.mstatus.0, self.mstatus.0);
    }
}

extern "C" {
    /// Where interrupts of S-level come to. See [`Frame::skip_hs_mode`].
    pub static hs_mode_entry: u8;

    /// Returns to where `frame` says. What is on the stack is forgotten.
    pub fn resume(frame: *const Frame) -> !;
}

#[repr(C, align(16))]
struct Stacks([[u8; 1 << STACK_SHIFT]; MAX_HARTS]);

#[no_mangle]
static mut STACKS: Stacks = Stacks([[0; 1 << STACK_SHIFT]; MAX_HARTS]);

global_asm!(
    // a0: the hart, a1: the device tree, a2: what QEMU tells of the next stage.
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
    "	call	{main}",
    // mscratch: the upper end of the hart's stack.
    ".align 2",
    ".globl trap_entry",
    "trap_entry:",
    "	csrrw	sp, mscratch, sp",
    "	addi	sp, sp, -{frame}",
    "	sd	zero, 0(sp)",
    "	sd	x1, 8(sp)",
    "	.irp n, 3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
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
    "	.irp n, 1,2,3,4,5,6,7,8,9,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31",
    "	ld	x\\n, 8*\\n(a0)",
    "	.endr",
    "	ld	a0, 80(a0)",
    "	mret",
    // A page of its own, which HS-mode may execute.
    ".align 12",
    ".globl hs_mode_entry",
    "hs_mode_entry:",
    "	ecall",
    ".align 12",
    ".text",
    max_harts = const MAX_HARTS,
    stack_shift = const STACK_SHIFT,
    frame = const core::mem::size_of::<Frame>(),
    main = sym crate::boot::main,
    trap = sym crate::trap::trap,
);
const _: () = assert!(core::mem::size_of::<Frame>() % 16 == 0);
