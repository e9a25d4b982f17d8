// SPDX-License-Identifier: GPL-2.0

//! The SBI: the functions that the host calls. The crate `rustsbi` decodes the calls; each file
//! here implements one extension.

#![deny(unsafe_code)]

mod call;
mod console;
mod hsm;
mod ipi;
mod nacl;
mod rfence;
mod srst;
mod time;

use crate::{hart::Hart, machine::frame::Frame, testing::counters};
use call::Call;
use rustsbi::RustSBI;

/// The extensions that exist, all of which serve the same call.
#[derive(RustSBI)]
struct Sbi<'a> {
    time: &'a Call<'a>,
    ipi: &'a Call<'a>,
    fence: &'a Call<'a>,
    hsm: &'a Call<'a>,
    reset: &'a Call<'a>,
    console: &'a Call<'a>,
    nacl: &'a Call<'a>,
}

/// Serves an ECALL of the host, and writes the answer to its registers.
pub fn call(hart: &mut Hart, frame: &mut Frame) {
    frame.mepc += 4;
    let parameters: [usize; 6] = core::array::from_fn(|i| frame.x[10 + i] as usize);
    let (function, extension) = (frame.x[16] as usize, frame.x[17] as usize);
    counters::count_call(extension, function);
    let call = Call::new(hart, frame);
    let all = Sbi {
        time: &call,
        ipi: &call,
        fence: &call,
        hsm: &call,
        reset: &call,
        console: &call,
        nacl: &call,
    };
    let answer = all.handle_ecall(extension, function, parameters);
    if call.returns() {
        frame.x[10] = answer.error as u64;
        frame.x[11] = answer.value as u64;
    }
}
