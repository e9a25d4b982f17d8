// SPDX-License-Identifier: GPL-2.0

//! A hypervisor below the hypervisor: what runs on it believes to have a hart with the H extension
//! and firmware with SBI nested acceleration (NACL; SBI specification, chapter 15).
//!
//! It is a test fixture. It runs in M-mode, loaded by QEMU's `-bios`, and runs the kernel given by
//! `-kernel`, the *host*, not in HS-mode but in VS-mode, with the physical addresses of the machine.
//! So each access to an H CSR, each HFENCE, HLV and HSV, and each SRET that enters a *guest* of
//! that kernel traps to here, as it would if the kernel were itself a guest: all of them can be
//! carried out, and counted. What they are counted for is to see what a hypervisor spares by the
//! shared memory of NACL.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `entry.rs` | from reset to Rust; in and out of M-mode |
//! | `boot.rs` | what each hart does once |
//! | `platform.rs` | the devices, and the features that are asked for |
//! | `csr.rs` | the hart's CSRs |
//! | `hart.rs` | what is kept of each hart |
//! | `trap.rs` | what each trap means |
//! | `world.rs` | from the host to its guest, and back |
//! | `virtual_csr.rs` | the H CSRs as the host sees them |
//! | `insn.rs` | the instructions that trap |
//! | `hlv.rs`, `fence.rs` | those that the hart carries out on the host's behalf |
//! | `nacl.rs`, `shmem.rs` | chapter 15 |
//! | `sbi.rs`, `remote.rs`, `hsm.rs` | all other chapters that the host needs |
//! | `../chapter15/` | a supervisor that judges all of it |
//! | `counters.rs`, `fence_log.rs` | for tests: what was done |
//! | `misuse.rs`, `backdoor.rs` | for tests: what is to go wrong, and how they ask |

#![no_std]
#![no_main]

mod boot;
mod hart;
mod harts;
mod host;
mod insn;
mod machine;
mod sbi;
mod shmem;
mod testing;
mod trap;
mod world;

use core::panic::PanicInfo;

/// Says what is wrong, and ends QEMU with a status that is not zero.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    machine::platform::print(format_args!("nacl-sbi: {info}\n"));
    machine::platform::fail()
}
