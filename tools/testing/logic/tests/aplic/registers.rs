// SPDX-License-Identifier: GPL-2.0

//! What registers hold.

use kvm_riscv_logic::{
    abi::aia::{
        AplicReg,
        Source, //
    },
    aia::aplic::Level, //
};

use super::*;

#[test]
fn after_reset_everything_is_zero_but_the_constants_of_domaincfg() {
    let aplic = Aplic::new(1023);
    assert_eq!(aplic.read(DOMAINCFG), 0x8000_0004);
    for offset in (4..0x4000).step_by(4) {
        assert_eq!(aplic.read(offset), 0, "{offset:#x}");
    }
}

#[test]
fn of_domaincfg_only_ie_can_be_written() {
    let mut aplic = Aplic::new(1);
    assert_eq!(aplic.write(DOMAINCFG, !0), []);
    assert_eq!(aplic.read(DOMAINCFG), 0x8000_0104);
    assert_eq!(aplic.write(DOMAINCFG, !IE), []);
    assert_eq!(aplic.read(DOMAINCFG), 0x8000_0004);
}

#[test]
fn sourcecfg_holds_the_modes_that_exist() {
    let mut aplic = Aplic::new(1023);
    for source in [1, 31, 32, 1023] {
        for mode in ACTIVE {
            assert_eq!(aplic.write(sourcecfg(source), mode), []);
            assert_eq!(aplic.read(sourcecfg(source)), mode);
            // Reserved modes.
            for value in [2, 3, !0x400 & !7 | 2] {
                assert_eq!(aplic.write(sourcecfg(source), value), []);
                assert_eq!(aplic.read(sourcecfg(source)), mode);
            }
            // Reserved bits.
            assert_eq!(aplic.write(sourcecfg(source), !0x407 | mode), []);
            assert_eq!(aplic.read(sourcecfg(source)), mode);
            // There is no child to delegate to.
            assert_eq!(aplic.write(sourcecfg(source), 0x400 | mode), []);
            assert_eq!(aplic.read(sourcecfg(source)), INACTIVE);
        }
    }
}

#[test]
fn target_has_two_fields_and_is_zero_while_its_source_is_inactive() {
    let mut aplic = Aplic::new(40);
    assert_eq!(aplic.write(target(40), 1 << 18 | 5), []);
    assert_eq!(aplic.read(target(40)), 0);
    assert_eq!(aplic.write(sourcecfg(40), DETACHED), []);
    assert_eq!(aplic.write(target(40), !0), []);
    assert_eq!(aplic.read(target(40)), 0xfffc_07ff);
    assert_eq!(aplic.write(sourcecfg(40), INACTIVE), []);
    assert_eq!(aplic.read(target(40)), 0);
}

#[test]
fn a_source_that_becomes_inactive_is_neither_pending_nor_enabled() {
    for mode in [DETACHED, EDGE1, EDGE0] {
        let mut aplic = Aplic::new(1023);
        aplic.activate(100, mode);
        aplic.activate(101, mode);
        assert_eq!(aplic.write(setip(3), 0x30), []);
        assert_eq!(aplic.write(sourcecfg(100), INACTIVE), []);
        assert!(!aplic.is_pending(100) && !aplic.is_enabled(100));
        assert!(aplic.is_pending(101) && aplic.is_enabled(101));
        // Nor does it become so.
        assert_eq!(aplic.write(setip(3), !0), []);
        assert_eq!(aplic.write(SETIPNUM, 100), []);
        assert_eq!(aplic.write(setie(3), !0), []);
        assert_eq!(aplic.write(SETIENUM, 100), []);
        assert_eq!(aplic.wire(100, Level::High), []);
        assert_eq!(aplic.write(sourcecfg(100), mode), []);
        assert!(!aplic.is_pending(100) && !aplic.is_enabled(100));
    }
}

#[test]
fn bits_of_words_are_those_of_active_sources() {
    let mut aplic = Aplic::new(70);
    for source in [1, 31, 32, 33, 64, 70] {
        assert_eq!(aplic.write(sourcecfg(source), DETACHED), []);
    }
    let expected = [1 << 1 | 1 << 31, 0b11, 1 | 1 << 6, 0];
    for (word, expected) in (0..).zip(expected) {
        assert_eq!(aplic.write(setip(word), !0), []);
        assert_eq!(aplic.read(setip(word)), expected);
        assert_eq!(aplic.write(setie(word), !0), []);
        assert_eq!(aplic.read(setie(word)), expected);
        // These do not read what they clear.
        assert_eq!(aplic.read(clrie(word)), 0);
        assert_eq!(aplic.read(in_clrip(word)), 0);

        assert_eq!(aplic.write(in_clrip(word), 2), []);
        assert_eq!(aplic.read(setip(word)), expected & !2);
        assert_eq!(aplic.write(clrie(word), 2), []);
        assert_eq!(aplic.read(setie(word)), expected & !2);
    }
}

#[test]
fn registers_with_numbers_change_one_source() {
    let mut aplic = Aplic::new(64);
    for source in 1..=64 {
        assert_eq!(aplic.write(sourcecfg(source), DETACHED), []);
    }
    for (offset, value) in [
        (SETIPNUM, 33),
        (SETIPNUM_LE, 33),
        (SETIPNUM_BE, 33_u32.swap_bytes()),
    ] {
        assert_eq!(aplic.write(offset, value), []);
        assert_eq!(aplic.read(setip(1)), 2);
        assert_eq!(aplic.read(offset), 0);
        assert_eq!(aplic.write(CLRIPNUM, 34), []);
        assert_eq!(aplic.read(setip(1)), 2);
        assert_eq!(aplic.write(CLRIPNUM, 33), []);
        assert_eq!(aplic.read(setip(1)), 0);
    }
    assert_eq!(aplic.write(SETIENUM, 33), []);
    assert_eq!(aplic.read(setie(1)), 2);
    assert_eq!(aplic.write(CLRIENUM, 34), []);
    assert_eq!(aplic.read(setie(1)), 2);
    assert_eq!(aplic.write(CLRIENUM, 33), []);
    assert_eq!(aplic.read(setie(1)), 0);
}

#[test]
fn numbers_of_no_source_are_ignored() {
    let mut aplic = Aplic::new(64);
    for source in 1..=64 {
        assert_eq!(aplic.write(sourcecfg(source), DETACHED), []);
    }
    for number in [0, 65, 1023, 1024, 1025, 1 << 16 | 1, 1 << 31 | 1, !0] {
        assert_eq!(aplic.write(SETIPNUM, number), []);
        assert_eq!(aplic.write(SETIPNUM_LE, number), []);
        assert_eq!(aplic.write(SETIPNUM_BE, number.swap_bytes()), []);
        assert_eq!(aplic.write(SETIENUM, number), []);
    }
    for word in 0..32 {
        assert_eq!(aplic.read(setip(word)), 0);
        assert_eq!(aplic.read(setie(word)), 0);
        let exists = [!1, !0, 1].get(word as usize).copied().unwrap_or(0);
        assert_eq!(aplic.write(setip(word), exists), []);
        assert_eq!(aplic.write(setie(word), exists), []);
    }
    for number in [0, 65, 1023, 1024, 1025, 1 << 16 | 1, 1 << 31 | 1, !0] {
        assert_eq!(aplic.write(CLRIPNUM, number), []);
        assert_eq!(aplic.write(CLRIENUM, number), []);
    }
    assert_eq!([0, 1, 2].map(|word| aplic.read(setip(word))), [!1, !0, 1]);
    assert_eq!([0, 1, 2].map(|word| aplic.read(setie(word))), [!1, !0, 1]);
}

#[test]
fn sources_that_do_not_exist_are_read_only_zeros() {
    let mut aplic = Aplic::new(5);
    for source in [6, 31, 32, 1023] {
        assert_eq!(aplic.write(sourcecfg(source), DETACHED), []);
        assert_eq!(aplic.read(sourcecfg(source)), 0);
        assert_eq!(aplic.write(target(source), 1), []);
        assert_eq!(aplic.read(target(source)), 0);
        let source = Source::new(source).unwrap();
        assert!(aplic.0.set_input(source, Level::High).is_none());
    }
    assert_eq!(aplic.write(setip(0), !0), []);
    assert_eq!(aplic.read(setip(0)), 0);
}

#[test]
fn more_storage_than_sources_is_not_used() {
    let mut aplic = Aplic::new(5000);
    aplic.activate(1023, DETACHED);
    assert_eq!(aplic.read(setie(31)), 1 << 31);
    assert!(aplic.0.implements(AplicReg::decode(setip(31)).unwrap()));
    let mut aplic = Aplic::new(0);
    assert_eq!(aplic.write(sourcecfg(1), DETACHED), []);
    assert_eq!(aplic.read(sourcecfg(1)), 0);
}

#[test]
fn registers_of_sources_that_exist_are_there_to_be_saved() {
    for (sources, words) in [(1, 1), (31, 1), (32, 2), (63, 2), (64, 3), (1023, 32)] {
        let aplic = Aplic::new(sources);
        let count = |first: u64, end: u64| {
            (first..end)
                .step_by(4)
                .take_while(|offset| aplic.0.implements(AplicReg::decode(*offset).unwrap()))
                .count()
        };
        assert_eq!(count(sourcecfg(1), 0x1000), sources);
        assert_eq!(count(target(1), 0x4000), sources);
        for bits in [setip(0), in_clrip(0), setie(0), clrie(0)] {
            assert_eq!(count(bits, bits + 0x80), words);
        }
        for offset in [
            DOMAINCFG,
            SETIPNUM,
            CLRIPNUM,
            SETIENUM,
            CLRIENUM,
            SETIPNUM_LE,
            SETIPNUM_BE,
            GENMSI,
        ] {
            assert!(aplic.0.implements(AplicReg::decode(offset).unwrap()));
        }
        for offset in [0x1000, 0x1bc0, 0x1bcc, 0x1c80, 0x2008, 0x2ffc] {
            assert!(!aplic.0.implements(AplicReg::decode(offset).unwrap()));
        }
    }
}
