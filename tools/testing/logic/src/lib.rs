// SPDX-License-Identifier: GPL-2.0

//! The modules of the RISC-V KVM backend that depend on `core` alone.
//!
//! They are the very files that the kernel builds. Here they are modules of a crate that also
//! builds for the machine it is built on, where `tests/` tests them and `fuzz/` fuzzes them.
//!
//! To add one: a `mod` line below, its tests in `tests/NAME.rs`, and a fuzz target if it takes
//! input from a guest or from user space.

#![no_std]

#[path = "../../../../arch/riscv/kvm/gstage_pte.rs"]
pub mod gstage_pte;
#[path = "../../../../arch/riscv/kvm/hfence.rs"]
pub mod hfence;
#[path = "../../../../arch/riscv/kvm/insn.rs"]
pub mod insn;
#[path = "../../../../arch/riscv/kvm/nacl_abi.rs"]
pub mod nacl_abi;
#[path = "../../../../arch/riscv/kvm/one_reg_id.rs"]
pub mod one_reg_id;
#[path = "../../../../arch/riscv/kvm/sbi_abi.rs"]
pub mod sbi_abi;
