// SPDX-License-Identifier: GPL-2.0

//! Which neighbours of a page are mapped with it.

use kvm_riscv_logic::mmu::fault_around::window;
use std::{
    collections::BTreeSet,
    ops::Range, //
};

const ENTRIES: usize = 512;
const MAX: usize = 64;

fn around(mapped: impl IntoIterator<Item = usize>, index: usize) -> Range<usize> {
    let mapped: BTreeSet<_> = mapped.into_iter().collect();
    window(index, MAX, |i| {
        assert!(i < ENTRIES);
        mapped.contains(&i)
    })
}

/// Faults on the entries in that order, where they are not mapped yet. Returns the number of
/// faults.
fn faults(order: impl Iterator<Item = usize>, max: usize) -> usize {
    let mut mapped = [false; ENTRIES];
    let mut faults = 0;
    for index in order {
        if !mapped[index] {
            faults += 1;
            mapped[index] = true;
            let window = window(index, max, |i| mapped[i]);
            assert!(window.len() <= max);
            mapped[window].fill(true);
        }
    }
    faults
}

#[test]
fn a_fault_that_continues_nothing_maps_one_page() {
    for index in [0, 1, 100, 510, 511] {
        assert!(around([], index).is_empty());
    }
    assert!(around([98, 102], 100).is_empty());
}

#[test]
fn a_window_is_twice_what_has_been_mapped_in_a_row() {
    assert_eq!(around([99], 100), 101..103);
    assert_eq!(around(97..100, 100), 101..107);
    assert_eq!(around([101], 100), 98..100);
    assert_eq!(around(101..104, 100), 94..100);
    // What is beyond a hole does not count.
    assert_eq!(around((90..98).chain([99]), 100), 101..103);
}

#[test]
fn a_window_ends_with_the_table() {
    assert_eq!(around(400..509, 509), 510..512);
    assert!(around(400..511, 511).is_empty());
    assert_eq!(around(3..100, 2), 0..2);
    assert!(around(1..100, 0).is_empty());
}

#[test]
fn a_window_has_a_limit() {
    assert_eq!(around(0..200, 200), 201..201 + MAX);
    assert_eq!(around(201..500, 200), 200 - MAX..200);
    assert!(window(200, 0, |_| true).is_empty());
    assert!(window(200, 0, |i| i < 200).is_empty());
    assert!(window(200, 1, |i| i < 200).is_empty());
}

#[test]
fn a_hole_maps_one_page() {
    assert!(around((0..100).chain(101..512), 100).is_empty());
}

#[test]
fn memory_in_order_takes_few_faults_either_way() {
    assert_eq!(faults(0..ENTRIES, MAX), 12);
    assert_eq!(faults((0..ENTRIES).rev(), MAX), 12);
    assert_eq!(faults(0..ENTRIES, 0), ENTRIES);
}

#[test]
fn two_streams_in_turns_are_both_seen() {
    let streams = (0..ENTRIES / 2).flat_map(|i| [i, ENTRIES / 2 + i]);
    assert!(faults(streams, MAX) <= 20);
}

#[test]
fn pages_with_gaps_between_them_take_a_fault_each() {
    assert_eq!(faults((0..ENTRIES).step_by(2), MAX), ENTRIES / 2);
}
