// SPDX-License-Identifier: GPL-2.0

//! A supervisor that checks everything that chapter 15 of the SBI specification says of nacl-sbi,
//! bad arguments included. QEMU loads it as the kernel.
//!
//! It has a layout of the shared memory of its own: sharing that of the firmware would share its
//! mistakes.

#![no_std]
#![no_main]

mod checks;
mod console;
mod csr;
mod features;
mod guest;
mod interrupt;
mod judge;
mod shmem;

use checks::{csrs, hfences, memory, srets};
use console::{end, print};
use core::{arch::global_asm, panic::PanicInfo};
use features::{has, SYNC_CSR, SYNC_HFENCE, SYNC_SRET};
use judge::Judge;
use sbi_rt::SbiRet;
use shmem::{disable, Shmem};

/// Runs all checks, prints how many there were and how many failed, and ends QEMU.
extern "C" fn main() -> ! {
    let mut judge = Judge {
        checked: 0,
        wrong: 0,
    };
    let first = Shmem::first();
    let second = Shmem::second();

    memory::probe(&mut judge);
    memory::no_memory(&mut judge);
    memory::bad_memory(&mut judge);
    csrs::csr_space(&mut judge, first, second);
    if has(SYNC_CSR) {
        csrs::sync_csr(&mut judge, first);
    }
    if has(SYNC_HFENCE) {
        hfences::sync_hfence(&mut judge, first);
    }
    if has(SYNC_SRET) {
        srets::sync_sret(&mut judge, first);
    }
    srets::plain_sret(&mut judge, first);
    judge.gives("SET_SHMEM: disable", disable(), SbiRet::success(0));
    memory::no_memory(&mut judge);

    let features = (0..4).fold(0, |all, f| all | usize::from(has(f)) << f);
    print(format_args!(
        "chapter15: features {features:#x}, {} checked, {} wrong\n",
        judge.checked, judge.wrong
    ));
    end(judge.wrong != 0)
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    print(format_args!("chapter15: {info}\n"));
    end(true)
}

/// Prints a trap that no check expects, and ends QEMU with an error.
extern "C" fn unexpected_trap(scause: u64, sepc: u64, stval: u64) -> ! {
    print(format_args!(
        "chapter15: a trap: scause {scause:#x}, sepc {sepc:#x}, stval {stval:#x}\n"
    ));
    end(true)
}

#[repr(C, align(16))]
struct Stack([u8; 0x4000]);

#[no_mangle]
static mut STACK: Stack = Stack([0; 0x4000]);

global_asm!(
    ".section .text.entry, \"ax\"",
    ".globl _start",
    "_start:",
    "	la	sp, STACK + {size}",
    "	la	t0, 0f",
    "	csrw	stvec, t0",
    "	call	{main}",
    // All traps come here, and none is expected.
    ".align 2",
    "0:	la	sp, STACK + {size}",
    "	csrr	a0, scause",
    "	csrr	a1, sepc",
    "	csrr	a2, stval",
    "	call	{trap}",
    size = const core::mem::size_of::<Stack>(),
    main = sym main,
    trap = sym unexpected_trap,
);
