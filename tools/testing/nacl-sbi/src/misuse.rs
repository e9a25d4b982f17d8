// SPDX-License-Identifier: GPL-2.0

//! What is to go wrong, because a test has asked for it.

#![deny(unsafe_code)]

use crate::csr;
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
    Count = 8,
}

/// How often each is still to take place.
static LEFT: [AtomicU64; Misuse::Count as usize] =
    [const { AtomicU64::new(0) }; Misuse::Count as usize];

/// Has something go wrong the next so many times. Returns how often it was still to.
pub fn arrange(index: usize, times: u64) -> Option<u64> {
    Some(LEFT.get(index)?.swap(times, Relaxed))
}

/// Returns whether a function of NACL has to fail this time.
pub fn fails(index: usize) -> bool {
    let once_less = |left: u64| left.checked_sub(1);
    LEFT[index].load(Relaxed) != 0
        && LEFT[index]
            .fetch_update(Relaxed, Relaxed, once_less)
            .is_ok()
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
