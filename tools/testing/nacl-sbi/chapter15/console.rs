// SPDX-License-Identifier: GPL-2.0

//! Output, and the end of QEMU.

use core::fmt::{self, Write};

struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            sbi_rt::console_write_byte(byte);
        }
        Ok(())
    }
}

/// Prints formatted text by the SBI.
pub fn print(arguments: fmt::Arguments<'_>) {
    let _ = Console.write_fmt(arguments);
}

/// Ends QEMU, with a status other than zero if `is_wrong`.
pub fn end(is_wrong: bool) -> ! {
    if is_wrong {
        sbi_rt::system_reset(sbi_rt::Shutdown, sbi_rt::SystemFailure);
    } else {
        sbi_rt::system_reset(sbi_rt::Shutdown, sbi_rt::NoReason);
    }
    loop {
        core::hint::spin_loop();
    }
}
