// SPDX-License-Identifier: GPL-2.0

//! Which harts are running, and where those that are to start do so.

use crate::machine::{platform, MAX_HARTS};
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering::*};
use sbi_spec::hsm::hart_state;

static STATES: [AtomicUsize; MAX_HARTS] =
    [const { AtomicUsize::new(hart_state::STOPPED) }; MAX_HARTS];
/// Where a hart is to start, and with what.
static STARTS: [(AtomicU64, AtomicU64); MAX_HARTS] =
    [const { (AtomicU64::new(0), AtomicU64::new(0)) }; MAX_HARTS];

/// Returns whether a hart takes part.
pub fn is_running(hart: usize) -> bool {
    STATES[hart].load(Acquire) != hart_state::STOPPED
}

/// Has a hart, which is stopped, start. Returns whether it was stopped.
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
    // Zero until it is set, which comes last, and no host starts there.
    STARTS[hart].0.store(pc, Release);
    platform::get().set_msip(hart, true);
    true
}

/// Returns where this hart is to start and with what, if somebody has asked for it; it has started
/// then.
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

/// Notes that this hart is stopped, so that it can be started.
pub fn set_stopped(hart: usize) {
    STATES[hart].store(hart_state::STOPPED, Release);
}

/// Returns the state of a hart, if there can be one of this number, as the specification has it.
pub fn get(hart: usize) -> Option<usize> {
    Some(STATES.get(hart)?.load(Acquire))
}
