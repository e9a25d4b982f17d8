// SPDX-License-Identifier: GPL-2.0

//! Faults that the firmware makes because a test has asked for them.

#![deny(unsafe_code)]

use crate::machine::csr;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Ways in which the firmware violates chapter 15, or does less than it could. Numbers below the
/// first are functions that fail.
#[derive(Clone, Copy)]
#[repr(usize)]
pub enum Misuse {
    /// Fences stay pending, and are not executed.
    HfencesStay = 5,
    /// Each call writes to the reserved words.
    Scribble = 6,
    /// After an exit of the guest, the CSR space holds arbitrary values.
    CsrGarbage = 7,
    /// SYNC_SRET synchronizes and swaps everything, and then fails.
    SretFailsLate = 8,
    /// SYNC_SRET synchronizes and swaps everything, and then returns with success.
    SretReturns = 9,
    /// An interrupt of the host leaves `hstatus.SPV` set, as under Xvisor.
    SpvStands = 10,
    /// A trap to HS-mode leaves zero in `htinst`, as on harts that never tell the instruction.
    NoHtinst = 11,
    /// A hart that is suspended without retention loses its shared memory.
    ForgetShmem = 12,
    Count = 13,
}

/// The number of times that each fault still happens.
static LEFT: [AtomicU64; Misuse::Count as usize] =
    [const { AtomicU64::new(0) }; Misuse::Count as usize];
/// The number of times that each is skipped before that.
static SKIP: [AtomicU64; Misuse::Count as usize] =
    [const { AtomicU64::new(0) }; Misuse::Count as usize];

/// Makes a fault happen the next `times` times. Returns the count that this replaces.
pub fn arrange(index: usize, times: u64) -> Option<u64> {
    Some(LEFT.get(index)?.swap(times, Relaxed))
}

/// Skips a fault, once it is arranged, the first `times` times. Returns the count that this
/// replaces.
pub fn skip(index: usize, times: u64) -> Option<u64> {
    Some(SKIP.get(index)?.swap(times, Relaxed))
}

/// Returns whether the function of NACL, or the fault, with this number fails this time.
pub fn fails(index: usize) -> bool {
    LEFT[index].load(Relaxed) != 0 && !take_one(&SKIP[index]) && take_one(&LEFT[index])
}

/// Decrements a counter, and returns whether it was above zero.
fn take_one(left: &AtomicU64) -> bool {
    let one_less = |left: u64| left.checked_sub(1);
    left.fetch_update(Relaxed, Relaxed, one_less).is_ok()
}

/// Returns whether a fault happens this time.
pub fn takes_place(misuse: Misuse) -> bool {
    fails(misuse as usize)
}

/// Returns an arbitrary value.
pub fn garbage() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let last = LAST.fetch_add(csr::read(csr::TIME) | 1, Relaxed);
    // The multiplier of Fibonacci hashing.
    last.wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .rotate_left(last as u32 & 63)
}
