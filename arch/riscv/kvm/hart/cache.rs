// SPDX-License-Identifier: GPL-2.0

//! The caches between the harts and memory.

use crate::hart::features;
use kernel::{
    bindings,
    kvm::KernelBlock, //
};

/// Writes the contents of host memory, which a guest is about to get, from the caches to memory.
///
/// A guest with Svpbmt can make its accesses non-cacheable. They pass by the caches, and find in
/// memory what was there before the host has cleared or filled the page: data of others. Guests get
/// Svpbmt only where this works ([`features::svpbmt`]).
///
/// May sleep.
pub(crate) fn write_back(block: &KernelBlock<'_>) {
    let line = features::cache_block_size(bindings::RISCV_ISA_EXT_ZICBOM) as usize;

    block.for_each_part(|addresses| {
        for addr in addresses.step_by(line.max(1)) {
            // SAFETY: This is CBO.CLEAN. The kernel has the address mapped, and the instruction
            // changes no contents.
            unsafe {
                core::arch::asm!(
                    ".insn i 0x0f, 2, x0, {0}, 1",
                    in(reg) addr,
                    options(nostack, preserves_flags)
                )
            };
        }
    });
    // The guest gets the memory after that. SAFETY: A barrier.
    unsafe { core::arch::asm!("fence rw, rw", options(nostack, preserves_flags)) };
}
