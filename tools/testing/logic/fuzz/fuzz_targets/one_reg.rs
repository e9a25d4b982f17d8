// SPDX-License-Identifier: GPL-2.0

//! Fuzzes the decoding of one-reg ids.

#![no_main]

use kvm_riscv_logic::abi::one_reg::{
    IdError,
    Reg, //
};
use libfuzzer_sys::fuzz_target;

const ARCH: u64 = 0xff << 56;
const SIZE: u64 = 0xf << 52;
const TYPE: u64 = 0xff << 24;

fuzz_target!(|input: (u64, u64)| {
    let (id, bits) = input;
    // Random bits seldom make an id. Those of each field make one more often.
    let likely = id & (SIZE | 0xf << 24 | 0x3 << 16 | 0x7f);

    for id in [id, likely, id ^ bits] {
        let number = id >> 24 & 0xff;

        match Reg::decode(id) {
            Ok(reg) => {
                assert_eq!(reg.encode() & !ARCH, id & !ARCH);
                assert_eq!(Reg::decode(reg.encode()), Ok(reg));
                assert_eq!(reg.reg_type() as u64, number);
                assert_eq!(reg.size().bytes(), 1 << ((id & SIZE) >> 52));
                // Another type or size is another register, or none.
                let other = Reg::decode(id ^ (bits & (SIZE | TYPE)));
                assert!(bits & (SIZE | TYPE) == 0 || other != Ok(reg));
            }
            Err(IdError::InvalidSize(reg_type)) => {
                // It is the size alone that is judged here: no other number makes it good.
                assert_eq!(reg_type as u64, number);
            }
            Err(IdError::NoSbiState(ext)) => {
                assert_eq!(number, 10);
                assert_eq!(ext.is_none(), id >> 16 & 0xff > 1);
            }
            Err(IdError::NotFound) => {}
        }
    }
});
