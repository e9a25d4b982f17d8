// SPDX-License-Identifier: GPL-2.0

//! Tests of numbers that choose an entry of a table.

use kvm_riscv_logic::abi::nospec::{
    below,
    masked, //
};

const COUNTS: [u64; 8] = [0, 1, 2, 32, 33, 79, 1 << 32, 1 << 63];

fn numbers() -> impl Iterator<Item = u64> {
    let near = |n: u64| (0..200).map(move |i| n.wrapping_add(i).wrapping_sub(100));

    (0..64).flat_map(move |bit| near(1 << bit)).chain(near(0))
}

#[test]
fn a_number_below_the_count_is_kept() {
    for count in COUNTS {
        for number in numbers() {
            assert_eq!(below(number, count), (number < count).then_some(number));
        }
    }
}

/// This is what a hart computes where it mispredicts the check.
#[test]
fn any_other_number_becomes_zero() {
    for count in COUNTS {
        for number in numbers() {
            let expected = if number < count { number } else { 0 };

            assert_eq!(masked(number, count), expected, "{number:x} {count:x}");
        }
    }
}
