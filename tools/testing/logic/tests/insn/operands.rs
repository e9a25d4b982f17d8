// SPDX-License-Identifier: GPL-2.0

//! Widths, sign extension and numbers of registers.

use kvm_riscv_logic::abi::insn::{
    extend,
    Gpr,
    Width, //
};

#[test]
fn loads_extend_as_the_bytes_do() {
    let bytes = [0x80, 0xff, 0x7f, 0x81, 0x01, 0x00, 0xfe, 0x90];

    for rotation in 0..8 {
        let mut bytes = bytes;

        bytes.rotate_left(rotation);
        let raw = u64::from_le_bytes(bytes);
        let [b, ..] = bytes;
        let [h @ .., _, _, _, _, _, _] = bytes;
        let [w @ .., _, _, _, _] = bytes;

        assert_eq!(extend(raw, Width::B, false), u64::from(b));
        assert_eq!(extend(raw, Width::B, true) as i64, i64::from(b as i8));
        let (unsigned, signed) = (u16::from_le_bytes(h), i16::from_le_bytes(h));
        assert_eq!(extend(raw, Width::H, false), u64::from(unsigned));
        assert_eq!(extend(raw, Width::H, true) as i64, i64::from(signed));
        let (unsigned, signed) = (u32::from_le_bytes(w), i32::from_le_bytes(w));
        assert_eq!(extend(raw, Width::W, false), u64::from(unsigned));
        assert_eq!(extend(raw, Width::W, true) as i64, i64::from(signed));
        assert_eq!(extend(raw, Width::D, false), raw);
        assert_eq!(extend(raw, Width::D, true), raw);
    }
}

#[test]
fn widths() {
    for (width, bytes) in [(Width::B, 1), (Width::H, 2), (Width::W, 4), (Width::D, 8)] {
        assert_eq!(width.bytes(), bytes);
        for addr in 0..32 {
            assert_eq!(width.is_aligned(addr), addr % bytes as u64 == 0);
        }
        assert!(width.is_aligned(u64::MAX - (bytes as u64 - 1)));
    }
}

#[test]
fn a_gpr_is_one_of_32() {
    for field in 0..256 {
        let gpr = Gpr::new(field);

        assert_eq!(gpr.index(), field as usize % 32);
        assert_eq!(gpr.is_zero(), field % 32 == 0);
        assert_eq!(gpr == Gpr::ZERO, field % 32 == 0);
    }
}
