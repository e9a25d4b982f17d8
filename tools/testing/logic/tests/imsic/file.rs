// SPDX-License-Identifier: GPL-2.0

//! Registers of an interrupt file, and the interrupt that it shows.

use super::*;

#[test]
fn after_reset_everything_is_zero() {
    let file = file(2047);
    for siselect in (0x70..0x100).step_by(2) {
        assert_eq!(file.read(reg(siselect)), 0);
    }
    assert_eq!((file.topei(), file.external()), (None, None));
}

#[test]
fn identities_come_in_groups_of_64() {
    for (last, words) in [(1, 1), (63, 1), (64, 2), (127, 2), (255, 4), (2047, 32)] {
        let mut file = file(last);
        assert_eq!(file.words(), words);
        for k in 0..32 {
            let expected = match k as usize {
                k if k >= words => 0,
                0 => !1,
                _ => !0,
            };
            for siselect in [EIP0 + k * 2, EIE0 + k * 2] {
                assert_eq!(file.implements(reg(siselect)), (k as usize) < words);
                file.write(reg(siselect), !0);
                assert_eq!(file.read(reg(siselect)), expected, "{siselect:#x}");
                file.write(reg(siselect), 0);
                assert_eq!(file.read(reg(siselect)), 0);
            }
        }
        assert!(file.implements(reg(EIDELIVERY)) && file.implements(reg(EITHRESHOLD)));
        assert!(!file.implements(reg(0x71)));
    }
}

#[test]
fn identities_that_do_not_exist_do_not_become_pending() {
    let mut file = open(127);
    for number in [128, 191, 192, 2047] {
        file.set_pending(identity(number));
        assert_eq!(file.topei(), None);
    }
    for k in 0..32 {
        assert_eq!(file.read(reg(EIP0 + k * 2)), 0);
    }
    file.set_pending(identity(127));
    assert_eq!(file.read(reg(EIP0 + 2)), 1 << 63);
    assert_eq!(number(file.topei()), 127);
}

#[test]
fn eidelivery_is_a_bit() {
    let mut file = open(63);
    for (value, expected) in [(1, 1), (0x4000_0000, 0), (!0, 1), (2, 0), (1 << 32 | 1, 1)] {
        file.write(reg(EIDELIVERY), value);
        assert_eq!(file.read(reg(EIDELIVERY)), expected);
    }
}

#[test]
fn eithreshold_holds_every_identity() {
    for (last, mask) in [(63, 63), (127, 127), (191, 255), (255, 255), (1983, 2047)] {
        let mut file = file(last);
        for value in (0..4096).chain([!0, 1 << 32, 1 << 63]) {
            file.write(reg(EITHRESHOLD), value);
            assert_eq!(file.read(reg(EITHRESHOLD)), value & mask);
        }
    }
}

#[test]
fn reserved_registers_are_read_only_zeros() {
    let mut file = open(2047);
    file.set_pending(identity(3));
    for siselect in [0x71, 0x73, 0x74, 0x7f] {
        file.write(reg(siselect), !0);
        assert_eq!(file.read(reg(siselect)), 0);
        assert_eq!(file.modify(reg(siselect), !0, !0), 0);
    }
    assert_eq!(number(file.external()), 3);
}

#[test]
fn the_lowest_identity_comes_first() {
    let mut file = open(2047);
    let mut order = [700, 5, 64, 63, 2047, 1, 128];
    for number in order {
        file.set_pending(identity(number));
    }
    order.sort_unstable();
    for expected in order {
        assert_eq!(number(file.topei()), expected);
        assert_eq!(number(file.external()), expected);
        assert_eq!(number(file.claim()), expected);
    }
    assert_eq!(file.claim(), None);
    assert_eq!(file.external(), None);
}

#[test]
fn only_what_is_pending_and_enabled_is_shown() {
    let mut file = file(255);
    file.write(reg(EIDELIVERY), 1);
    file.set_pending(identity(70));
    file.set_pending(identity(71));
    assert_eq!(file.topei(), None);
    file.write(reg(EIE0 + 2), 1 << 7 | 1 << 8);
    assert_eq!(number(file.topei()), 71);
    file.write(reg(EIP0 + 2), 1 << 6 | 1 << 8);
    assert_eq!(number(file.topei()), 72);
    file.write(reg(EIE0 + 2), 0);
    assert_eq!(file.topei(), None);
    // A claim takes nothing then.
    assert_eq!(file.claim(), None);
    assert_eq!(file.read(reg(EIP0 + 2)), 1 << 6 | 1 << 8);
}

#[test]
fn a_threshold_hides_itself_and_what_is_higher() {
    let mut file = open(2047);
    file.set_pending(identity(100));
    file.set_pending(identity(200));
    for (threshold, expected) in [(0, 100), (1, 0), (99, 0), (100, 0), (101, 100), (2047, 100)] {
        file.write(reg(EITHRESHOLD), threshold);
        assert_eq!(number(file.topei()), expected);
        assert_eq!(number(file.external()), expected);
    }
    file.write(reg(EITHRESHOLD), 100);
    assert_eq!(file.claim(), None);
    assert_eq!(file.read(reg(EIP0 + 2)), 1 << 36);
}

#[test]
fn eidelivery_does_not_matter_for_topei() {
    let mut file = open(63);
    file.set_pending(identity(9));
    file.write(reg(EIDELIVERY), 0);
    assert_eq!(number(file.topei()), 9);
    assert_eq!(file.external(), None);
    assert_eq!(number(file.claim()), 9);
}

#[test]
fn instructions_change_the_bits_of_their_mask() {
    let mut file = file(127);
    assert_eq!(file.modify(reg(EIE0), 0xff00, !0), 0);
    // CSRRS, CSRRC, and a read.
    assert_eq!(file.modify(reg(EIE0), !0, 0x0f0f), 0xff00);
    assert_eq!(file.modify(reg(EIE0), 0, 0x0ff0), 0xff0e);
    assert_eq!(file.modify(reg(EIE0), 0xabcd, 0), 0xf00e);
    assert_eq!(file.read(reg(EIE0)), 0xf00e);
    assert_eq!(file.modify(reg(EITHRESHOLD), 0x55, !0), 0);
    assert_eq!(file.modify(reg(EITHRESHOLD), 0x0a, 0x0f), 0x55);
    assert_eq!(file.read(reg(EITHRESHOLD)), 0x5a);
    assert_eq!(file.modify(reg(EIDELIVERY), 1, 1), 0);
    assert_eq!(file.modify(reg(EIDELIVERY), 0, !1), 1);
    assert_eq!(file.read(reg(EIDELIVERY)), 1);
}
