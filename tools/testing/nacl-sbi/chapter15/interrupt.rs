// SPDX-License-Identifier: GPL-2.0

//! A software interrupt of the host, to itself.

use core::arch::asm;

/// Makes the software interrupt pending and enabled. It is taken when `sstatus.SIE` is set, or in a
/// guest.
pub fn raise_interrupt() {
    // SAFETY: `sstatus.SIE` is clear, so that no interrupt is taken here.
    unsafe { asm!("csrsi sie, 2", "csrsi sip, 2") };
}

/// Takes the pending interrupt with a handler that clears it, and returns from the handler by SRET.
pub fn take_interrupt() {
    // SAFETY: The handler uses no register, and `stvec` is restored.
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
