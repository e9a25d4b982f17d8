// SPDX-License-Identifier: GPL-2.0

//! Fuzzes an interrupt file against the model of its tests, and the priorities of interrupts.

#![no_main]

use kvm_riscv_logic::{
    abi::aia::IprioReg,
    aia::imsic::Priorities, //
};
use libfuzzer_sys::fuzz_target;

#[path = "../../tests/imsic/model.rs"]
mod model;

fuzz_target!(|input: (u16, Vec<(u8, u16, u64, u64)>)| {
    let (last, accesses) = input;

    let mut pair = model::Pair::new(u32::from(last));
    let mut priorities = Priorities::default();
    for (choice, place, value, mask) in accesses {
        pair.step(choice, place, value, mask);

        let reg = IprioReg::new(u32::from(place));
        let sie = value.rotate_left(u32::from(choice));
        let old = priorities.read(reg);
        assert_eq!(priorities.modify(reg, value, mask, sie), old);
        let new = priorities.read(reg);
        assert_eq!((old ^ new) & !mask, 0);
        for byte in 0..8 {
            let interrupt = reg.index() * 8 + byte;
            let is_writable = matches!(interrupt, 1 | 5 | 13..=23) && sie >> interrupt & 1 != 0;
            let of = |register: u64| register >> (byte * 8) as u8 & 0xff;
            let expected = of(old & !mask | value & mask);
            assert_eq!(of(new), if is_writable { expected } else { of(old) });
        }
    }
});
