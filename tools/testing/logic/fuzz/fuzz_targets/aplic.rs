// SPDX-License-Identifier: GPL-2.0

//! Fuzzes an interrupt domain against the model of its tests.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/aplic/model.rs"]
mod model;

fuzz_target!(|input: (u16, Vec<(u8, u16, u32)>)| {
    let (sources, accesses) = input;

    // Few sources have more to do with each other.
    let sources = if sources & 1 == 0 {
        sources
    } else {
        sources % 80
    };
    let mut pair = model::Pair::new(usize::from(sources));
    for (choice, place, value) in accesses {
        pair.step(choice, place, value);
    }
    pair.compare();
});
