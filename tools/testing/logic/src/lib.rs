// SPDX-License-Identifier: GPL-2.0

//! The modules of the RISC-V KVM backend that depend on `core` alone.
//!
//! They are the very files that the kernel builds. Here they are modules of a crate that also
//! builds for the machine it is built on, where `tests/` tests them and `fuzz/` fuzzes them.
//!
//! To add one: a `mod` line below, its tests in `tests/NAME.rs`, or `tests/NAME/main.rs` if they
//! take several files, and a fuzz target if it takes input from a guest or from user space.

#![no_std]

/// Formats that a specification or the uapi defines.
#[path = "../../../../arch/riscv/kvm/abi"]
pub mod abi {
    pub mod aia;
    pub mod envcfg;
    pub mod fwft;
    pub mod insn;
    pub mod nacl;
    pub mod nospec;
    pub mod one_reg;
    pub mod pmu;
    pub mod pte;
    pub mod sbi;
    pub mod warl;
}

/// The interrupt controllers that a guest sees.
#[path = "../../../../arch/riscv/kvm/aia"]
pub mod aia {
    pub mod aplic;
    pub mod imsic;
    pub mod layout;
}

/// The guest's memory.
#[path = "../../../../arch/riscv/kvm/mmu"]
pub mod mmu {
    pub mod entry;
    pub mod fault_around;
    pub mod fence_queue;
}
