// SPDX-License-Identifier: GPL-2.0

//! Numbers from user space that choose an entry of a table.

use core::hint::black_box;

/// Returns `number` if it is below `count`, which is at most 2^63.
///
/// What is returned is below `count` even where the check is mispredicted, as with
/// `array_index_nospec()`: else user space could make the kernel load from where it likes, and find
/// traces of the value in the caches.
#[inline]
pub fn below(number: u64, count: u64) -> Option<u64> {
    (number < count).then(|| masked(black_box(number), count))
}

/// Returns `number` if it is below `count`, and 0 otherwise, without a branch.
///
/// The compiler must not know that `number` is below `count`, else it leaves out the mask.
#[inline]
pub const fn masked(number: u64, count: u64) -> u64 {
    // The difference of two numbers below 2^63 is negative if the first one is smaller. If the
    // first one is larger than that, its own sign tells.
    let below = (number.wrapping_sub(count) & !number) as i64 >> 63;

    number & below as u64
}
