// SPDX-License-Identifier: GPL-2.0

//! An interrupt of the host.

use core::arch::asm;

/// Has the software interrupt come as soon as interrupts are enabled.
pub fn raise_interrupt() {
    // SAFETY: They are disabled.
    unsafe { asm!("csrsi sie, 2", "csrsi sip, 2") };
}

/// Enables interrupts, takes that one, and returns from it.
pub fn take_interrupt() {
    // SAFETY: The handler uses no register.
    unsafe {
        asm!(
            "la {old}, 2f",
            "csrrw {old}, stvec, {old}",
            "csrsi sstatus, 2",
            "j 3f",
            ".align 2",
            "2:",
            "csrci sip, 2",
            "csrci sie, 2",
            "sret",
            "3:",
            "csrci sstatus, 2",
            "csrw stvec, {old}",
            old = out(reg) _,
        )
    };
}
