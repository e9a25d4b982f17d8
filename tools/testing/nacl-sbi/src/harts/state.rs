// SPDX-License-Identifier: GPL-2.0

//! The state of each hart (SBI specification, chapter "Hart State Management"), and the address at
//! which a hart is to start.

use crate::machine::{platform, MAX_HARTS};
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering::*};
use sbi_spec::hsm::hart_state;

static STATES: [AtomicUsize; MAX_HARTS] =
    [const { AtomicUsize::new(hart_state::STOPPED) }; MAX_HARTS];
/// The address at which each hart is to start, and the argument to pass.
static STARTS: [(AtomicU64, AtomicU64); MAX_HARTS] =
    [const { (AtomicU64::new(0), AtomicU64::new(0)) }; MAX_HARTS];

/// Returns whether a hart runs, or is about to, so that it must execute fences.
pub fn is_running(hart: usize) -> bool {
    STATES[hart].load(Acquire) != hart_state::STOPPED
}

/// Makes a stopped hart start at `pc`. Returns whether it was stopped.
pub fn start(hart: usize, pc: u64, opaque: u64) -> bool {
    if STATES[hart]
        .compare_exchange(
            hart_state::STOPPED,
            hart_state::START_PENDING,
            AcqRel,
            Acquire,
        )
        .is_err()
    {
        return false;
    }
    STARTS[hart].1.store(opaque, Relaxed);
    // Last, because the hart starts as soon as it finds an address other than zero. No host starts
    // at zero.
    STARTS[hart].0.store(pc, Release);
    platform::get().set_msip(hart, true);
    true
}

/// If this hart is to start: marks it as started, and returns the address and the argument.
pub fn take_start(hart: usize) -> Option<(u64, u64)> {
    let pc = STARTS[hart].0.load(Acquire);
    if STATES[hart].load(Acquire) != hart_state::START_PENDING || pc == 0 {
        return None;
    }
    let opaque = STARTS[hart].1.load(Relaxed);
    STARTS[hart].0.store(0, Relaxed);
    STATES[hart].store(hart_state::STARTED, Release);
    Some((pc, opaque))
}

/// Marks this hart as stopped, so that others can start it.
pub fn set_stopped(hart: usize) {
    STATES[hart].store(hart_state::STOPPED, Release);
}

/// Returns the state of a hart by its number in the specification, or [`None`] if the hart cannot
/// exist.
pub fn get(hart: usize) -> Option<usize> {
    Some(STATES.get(hart)?.load(Acquire))
}
