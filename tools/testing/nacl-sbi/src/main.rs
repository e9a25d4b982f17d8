// SPDX-License-Identifier: GPL-2.0

//! Firmware in M-mode that plays a hypervisor below the hypervisor: the kernel that it boots finds
//! a hart with the H extension, and firmware with SBI nested acceleration (NACL; SBI specification,
//! chapter 15).
//!
//! It is a test fixture. QEMU loads it by `-bios`, and it runs the kernel given by `-kernel`, the
//! *host*, not in HS-mode but in VS-mode, with the physical addresses of the machine. So each
//! access to an H CSR, each HFENCE, HLV and HSV, and each SRET that enters a *guest* of that kernel
//! traps to M-mode, as in a kernel that is itself a guest. The firmware carries out all of them and
//! counts them; the counts show how many traps a hypervisor saves by the shared memory of NACL.
//!
//! A file imports from its own room, which is a file `foo.rs` with its folder `foo/`, and from the
//! floors below; never from a floor above, and never from another room of its own floor:
//!
//! | floor | room | what is in it |
//! | --- | --- | --- |
//! | 9 | `main` | hands `boot` and `trap` to the code that enters Rust |
//! | 8 | `boot` | what each hart does once, after reset |
//! | 8 | `trap` | which trap is handled where |
//! | 7 | `insn` | the instructions of the host that trap |
//! | 7 | `sbi` | the calls of the host, one file for each extension |
//! | 6 | `world` | from the host to its guest and back; traps and SRET in HS-mode |
//! | 5 | `nacl` | CSRs and fences in shared memory |
//! | 5 | `harts` | harts that start and stop each other, and fence for each other |
//! | 4 | `host` | the H CSRs as the host sees them, and the CSRs that the host runs with |
//! | 3 | `hart` | the state of each hart |
//! | 3 | `testing` | counters, the log of fences, deliberate faults, and how tests ask for them |
//! | 2 | `shmem` | the layout of the shared memory |
//! | 1 | `machine` | CSRs, instructions, traps and devices; the code that enters Rust |
//!
//! `../chapter15/` is another program: a supervisor that judges this one.

#![no_std]
#![no_main]

mod boot;
mod hart;
mod harts;
mod host;
mod insn;
mod machine;
mod nacl;
mod sbi;
mod shmem;
mod testing;
mod trap;
mod world;

use core::panic::PanicInfo;
use machine::{console, entry::define_entry, platform};

define_entry!(boot: boot::main, trap: trap::handle);

/// Prints the message, and ends QEMU with a status other than zero.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    console::print(format_args!("nacl-sbi: {info}\n"));
    platform::fail()
}
