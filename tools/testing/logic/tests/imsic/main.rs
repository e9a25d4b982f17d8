// SPDX-License-Identifier: GPL-2.0

//! Tests of the interrupt file and of the priorities of major interrupts.

mod file;
mod model;
mod moved;
mod priorities;

use kvm_riscv_logic::{
    abi::aia::{
        Identity,
        ImsicReg,
        IndirectReg, //
    },
    aia::imsic::File, //
};

pub(crate) const EIDELIVERY: u64 = 0x70;
pub(crate) const EITHRESHOLD: u64 = 0x72;
pub(crate) const EIP0: u64 = 0x80;
pub(crate) const EIE0: u64 = 0xc0;

pub(crate) fn identity(number: u32) -> Identity {
    Identity::new(number).unwrap()
}

pub(crate) fn reg(siselect: u64) -> ImsicReg {
    match IndirectReg::decode(siselect) {
        Ok(IndirectReg::Imsic(reg)) => reg,
        other => panic!("{siselect:#x} is {other:?}"),
    }
}

pub(crate) fn file(last: u32) -> File {
    File::new(identity(last))
}

/// Returns a file that delivers, with all interrupts enabled.
pub(crate) fn open(last: u32) -> File {
    let mut file = file(last);
    file.write(reg(EIDELIVERY), 1);
    for k in 0..32 {
        file.write(reg(EIE0 + k * 2), !0);
    }
    file
}

pub(crate) fn number(identity: Option<Identity>) -> u32 {
    identity.map_or(0, Identity::number)
}

/// Random accesses have the results of a model that walks all identities.
#[test]
fn accesses_do_what_the_model_does() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for last in [63, 127, 255, 1023, 1983, 2047] {
        let mut pair = model::Pair::new(last);
        for _ in 0..4000 {
            let choice = next();
            pair.step(choice as u8, (choice >> 8) as u16, next(), next() & next());
        }
    }
}
