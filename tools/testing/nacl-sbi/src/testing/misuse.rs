// SPDX-License-Identifier: GPL-2.0

//! What is to go wrong, because a test has asked for it.

#![deny(unsafe_code)]

use crate::machine::csr;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Ways not to do what chapter 15 says. Functions that fail come first, by their number.
#[derive(Clone, Copy)]
#[repr(usize)]
pub enum Misuse {
    /// Fences stay pending, and are not done.
    HfencesStay = 5,
    /// Reserved words change with each call.
    Scribble = 6,
    /// The CSR space holds anything when the host has left a guest.
    CsrGarbage = 7,
    /// SYNC_SRET has synchronized and swapped all there is, and fails.
    SretFailsLate = 8,
    /// The same, but that it returns with success.
    SretReturns = 9,
    Count = 10,
}

/// How often each is still to take place.
static LEFT: [AtomicU64; Misuse::Count as usize] =
    [const { AtomicU64::new(0) }; Misuse::Count as usize];
/// How often each is not to take place before that.
static SKIP: [AtomicU64; Misuse::Count as usize] =
    [const { AtomicU64::new(0) }; Misuse::Count as usize];

/// Has something go wrong the next so many times. Returns how often it was still to.
pub fn arrange(index: usize, times: u64) -> Option<u64> {
    Some(LEFT.get(index)?.swap(times, Relaxed))
}

/// Has all go well so many times before something goes wrong that is arranged after this. Returns
/// how often it was still to.
pub fn skip(index: usize, times: u64) -> Option<u64> {
    Some(SKIP.get(index)?.swap(times, Relaxed))
}

/// Returns whether a function of NACL has to fail this time.
pub fn fails(index: usize) -> bool {
    LEFT[index].load(Relaxed) != 0 && !take_one(&SKIP[index]) && take_one(&LEFT[index])
}

/// Returns whether one was left.
fn take_one(left: &AtomicU64) -> bool {
    let one_less = |left: u64| left.checked_sub(1);
    left.fetch_update(Relaxed, Relaxed, one_less).is_ok()
}

/// Returns whether something has to go wrong this time.
pub fn takes_place(misuse: Misuse) -> bool {
    fails(misuse as usize)
}

/// Returns what nobody expects.
pub fn garbage() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let last = LAST.fetch_add(csr::read(csr::TIME) | 1, Relaxed);
    // The multiplier of Fibonacci hashing.
    last.wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .rotate_left(last as u32 & 63)
}
