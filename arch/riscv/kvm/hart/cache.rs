// SPDX-License-Identifier: GPL-2.0

//! The caches between the harts and memory.

use crate::hart::features;
use kernel::{
    access_once::smp_mb,
    kvm::KernelBlock, //
};

/// Writes the contents of host memory, which a guest is about to get, from the caches to memory.
///
/// A guest with Svpbmt can make its accesses non-cacheable. They pass by the caches, and find in
/// memory what was there before the host has cleared or filled the page: data of others. Guests get
/// Svpbmt only where this works ([`features::svpbmt`]).
///
/// May sleep if the block is larger than 2M.
pub(crate) fn write_back(block: &KernelBlock<'_>) {
    let line = features::svpbmt_line();

    block.for_each_part(|addresses| {
        // SAFETY: This is CBO.CLEAN for each line. The kernel has the addresses mapped, and the
        // instruction changes no contents. A page has a multiple of 16 lines.
        unsafe {
            core::arch::asm!(
                "2:",
                ".rept 16",
                ".insn i 0x0f, 2, x0, {addr}, 1",
                "add {addr}, {addr}, {line}",
                ".endr",
                "bltu {addr}, {end}, 2b",
                addr = inout(reg) addresses.start => _,
                end = in(reg) addresses.end,
                line = in(reg) line,
                options(nostack)
            )
        };
    });
    // The guest gets the memory after that.
    smp_mb();
}
