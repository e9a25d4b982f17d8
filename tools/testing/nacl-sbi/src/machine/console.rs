// SPDX-License-Identifier: GPL-2.0

//! The console: the UART of the machine.

use core::{
    fmt::{self, Write},
    ptr::NonNull,
};
use spin::Mutex;
use uart_16550::{backend::MmioBackend, Uart16550};

static CONSOLE: Mutex<Option<Uart16550<MmioBackend>>> = Mutex::new(None);

/// Makes the UART at `address` the console.
///
/// # Safety
///
/// `address` must be the address of a UART that is compatible with the ns16550a.
pub unsafe fn init(address: usize) {
    let uart = NonNull::new(address as *mut u8)
        // SAFETY: By the requirement.
        .and_then(|base| unsafe { Uart16550::new_mmio(base, 1) }.ok());
    *CONSOLE.lock() = uart;
}

/// Writes a byte to the console; before `init()`, discards it.
pub fn put(byte: u8) {
    if let Some(console) = CONSOLE.lock().as_mut() {
        console.send_bytes_exact(&[byte]);
    }
}

struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(put);
        Ok(())
    }
}

/// Writes formatted text to the console.
pub fn print(arguments: fmt::Arguments<'_>) {
    let _ = Console.write_fmt(arguments);
}
