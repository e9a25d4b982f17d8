// SPDX-License-Identifier: GPL-2.0

//! When a source becomes pending, in each mode: section 4.7 of the specification.

use super::*;
use Level::{High, Low};

/// Returns a domain that delivers nothing, with a source in a mode and a wire with a level.
fn source(mode: u32, level: Level) -> Aplic {
    let mut aplic = Aplic::new(1023);
    assert_eq!(aplic.wire(77, level), []);
    aplic.activate(77, mode);
    assert!(!aplic.is_pending(77));
    aplic
}

#[test]
fn the_rectified_input_is_inverted_by_two_modes_and_low_without_a_wire() {
    for (mode, low, high) in [
        (INACTIVE, false, false),
        (DETACHED, false, false),
        (EDGE1, false, true),
        (EDGE0, true, false),
        (LEVEL1, false, true),
        (LEVEL0, true, false),
    ] {
        let mut aplic = Aplic::new(1023);
        assert_eq!(aplic.write(sourcecfg(77), mode), []);
        assert_eq!(aplic.rectified(77), low);
        assert_eq!(aplic.wire(77, High), []);
        assert_eq!(aplic.rectified(77), high);
        // Nothing else is read there.
        assert_eq!(aplic.write(SETIPNUM, 77), []);
        assert_eq!(aplic.rectified(77), high);
        assert_eq!(aplic.write(sourcecfg(77), INACTIVE), []);
        assert_eq!(aplic.read(in_clrip(2)), 0);
    }
}

#[test]
fn an_edge_makes_pending_and_its_end_does_not_undo_it() {
    for (mode, idle, asserted) in [(EDGE1, Low, High), (EDGE0, High, Low)] {
        let mut aplic = source(mode, idle);
        assert_eq!(aplic.wire(77, idle), []);
        assert!(!aplic.is_pending(77));
        assert_eq!(aplic.wire(77, asserted), []);
        assert!(aplic.is_pending(77));
        assert_eq!(aplic.wire(77, idle), []);
        assert!(aplic.is_pending(77));
        assert_eq!(aplic.write(CLRIPNUM, 77), []);
        assert!(!aplic.is_pending(77));
        // Without an edge, the level does not count.
        assert_eq!(aplic.wire(77, asserted), []);
        assert_eq!(aplic.write(CLRIPNUM, 77), []);
        assert_eq!(aplic.wire(77, asserted), []);
        assert!(!aplic.is_pending(77));
    }
}

#[test]
fn a_level_is_pending_from_its_rise_until_it_is_low() {
    for (mode, idle, asserted) in [(LEVEL1, Low, High), (LEVEL0, High, Low)] {
        let mut aplic = source(mode, idle);
        assert_eq!(aplic.wire(77, asserted), []);
        assert!(aplic.is_pending(77));
        assert_eq!(aplic.wire(77, idle), []);
        assert!(!aplic.is_pending(77));
        // It can be cleared by a register, and is not set again before it rises.
        assert_eq!(aplic.wire(77, asserted), []);
        assert_eq!(aplic.write(in_clrip(2), 1 << 13), []);
        assert!(!aplic.is_pending(77));
        assert_eq!(aplic.wire(77, asserted), []);
        assert!(!aplic.is_pending(77));
        assert_eq!(aplic.wire(77, idle), []);
        assert_eq!(aplic.wire(77, asserted), []);
        assert!(aplic.is_pending(77));
    }
}

#[test]
fn registers_make_a_level_pending_only_while_it_is_high() {
    for (mode, idle, asserted) in [(LEVEL1, Low, High), (LEVEL0, High, Low)] {
        for (offset, value) in [
            (SETIPNUM, 77),
            (SETIPNUM_LE, 77),
            (SETIPNUM_BE, 77_u32.swap_bytes()),
            (setip(2), !0),
        ] {
            let mut aplic = source(mode, idle);
            assert_eq!(aplic.write(offset, value), []);
            assert!(!aplic.is_pending(77));
            let mut aplic = source(mode, asserted);
            assert_eq!(aplic.write(offset, value), []);
            assert!(aplic.is_pending(77));
        }
    }
}

#[test]
fn registers_make_any_other_active_source_pending() {
    for mode in [DETACHED, EDGE1, EDGE0] {
        for level in [Low, High] {
            let mut aplic = source(mode, level);
            assert_eq!(aplic.write(SETIPNUM, 77), []);
            assert!(aplic.is_pending(77));
            assert_eq!(aplic.write(CLRIPNUM, 77), []);
            assert_eq!(aplic.write(setip(2), 1 << 13), []);
            assert!(aplic.is_pending(77));
        }
    }
}

#[test]
fn a_detached_source_ignores_its_wire() {
    let mut aplic = source(DETACHED, Low);
    assert_eq!(aplic.wire(77, High), []);
    assert_eq!(aplic.wire(77, Low), []);
    assert!(!aplic.is_pending(77));
}

#[test]
fn a_wire_is_remembered_while_its_source_is_inactive() {
    let mut aplic = source(LEVEL1, High);
    assert!(aplic.rectified(77));
    assert_eq!(aplic.write(sourcecfg(77), INACTIVE), []);
    assert_eq!(aplic.wire(77, Low), []);
    assert_eq!(aplic.write(sourcecfg(77), LEVEL1), []);
    assert!(!aplic.rectified(77));
}

#[test]
fn another_mode_makes_nothing_pending_and_clears_only_a_low_level() {
    for old in ACTIVE {
        for new in ACTIVE {
            for level in [Low, High] {
                let mut aplic = source(old, level);
                assert_eq!(aplic.write(sourcecfg(77), new), []);
                assert!(!aplic.is_pending(77) && aplic.is_enabled(77));

                let mut aplic = source(old, level);
                assert_eq!(aplic.write(SETIPNUM, 77), []);
                let was_pending = aplic.is_pending(77);
                assert_eq!(aplic.write(sourcecfg(77), new), []);
                let is_low = [LEVEL1, LEVEL0].contains(&new) && !aplic.rectified(77);
                assert_eq!(aplic.is_pending(77), was_pending && !is_low);
            }
        }
    }
}
