// SPDX-License-Identifier: GPL-2.0

//! The last fences that each hart has executed, or left in the queue, for tests to judge.
//!
//! A guest on QEMU does not show that a fence was lost, or acted on something else.

#![deny(unsafe_code)]

use super::counters::{self, Event};
use crate::machine::{csr::hart_id, MAX_HARTS};
use spin::Mutex;

/// The way in which the host asked for a fence.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum How {
    Instruction,
    /// In the queue of the shared memory.
    Queue,
    /// By a call, of this hart or another.
    Call,
    /// In the queue of the shared memory, where it was left:
    /// [`Misuse::HfencesStay`](super::misuse::Misuse).
    Left,
    /// By HINVAL, which SFENCE.INVAL.IR orders. That one does not trap, so nothing is known of it.
    Hinval,
}

/// The translations that a fence acts on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Gvma,
    Vvma,
}

/// A fence, as the host asked for it. [`None`] stands for all VMIDs, ASIDs or addresses.
#[derive(Clone, Copy)]
pub struct Fence {
    pub how: How,
    pub kind: Kind,
    pub vmid: Option<u64>,
    pub asid: Option<u64>,
    /// The first address, and the length in bytes.
    pub range: Option<(u64, u64)>,
}

const CAPACITY: usize = 128;

struct Log {
    /// The last fences, each with the number of entries to a guest before it.
    fences: [Option<(Fence, u64)>; CAPACITY],
    /// The number of fences so far, of which the last are in `fences`.
    count: u64,
    /// The number of entries to a guest so far, and the VMID of the last one.
    entries: u64,
    vmid: u64,
}

static LOGS: [Mutex<Log>; MAX_HARTS] = [const {
    Mutex::new(Log {
        fences: [None; CAPACITY],
        count: 0,
        entries: 0,
        vmid: 0,
    })
}; MAX_HARTS];

impl Log {
    /// Returns a fence by its number, if it is still in the log.
    fn get(&self, number: u64) -> Option<(Fence, u64)> {
        let kept = self.count.saturating_sub(CAPACITY as u64)..self.count;
        kept.contains(&number)
            .then(|| self.fences[number as usize % CAPACITY])?
    }

    /// Returns whether HFENCE.VVMA were executed since the last entry, but none for `vmid`.
    ///
    /// Returns `false` if the log does not reach back to the last entry.
    fn has_only_vvma_of_others(&self, vmid: u64) -> bool {
        let mut any = false;
        for number in (0..self.count).rev() {
            match self.get(number) {
                None => return false,
                Some((_, entries)) if entries != self.entries => break,
                Some((fence, _))
                    if matches!(fence.how, How::Instruction | How::Hinval)
                        && fence.kind == Kind::Vvma =>
                {
                    if fence.vmid == Some(vmid) {
                        return false;
                    }
                    any = true;
                }
                Some(_) => (),
            }
        }
        any
    }
}

/// Records a fence of this hart.
pub fn note(fence: Fence) {
    let mut log = LOGS[hart_id()].lock();
    let place = log.count as usize % CAPACITY;
    log.fences[place] = Some((fence, log.entries));
    log.count += 1;
}

/// Records that this hart enters a guest, and counts the entry if all HFENCE.VVMA since the last
/// one acted on other VMIDs.
///
/// HFENCE.VVMA acts on the VMID in `hgatp`, so a host that writes `hgatp` too late fences the wrong
/// guest. A host that fences one guest and then enters another looks the same, so this count says
/// something only of hosts with one VM.
pub fn note_entry(vmid: u64) {
    let mut log = LOGS[hart_id()].lock();
    if log.has_only_vvma_of_others(vmid) {
        counters::count(Event::VvmaOfAnotherVmid);
    }
    log.entries += 1;
    log.vmid = vmid;
}

/// Returns the number of fences of a hart so far.
pub fn count(hart: usize) -> Option<u64> {
    Some(LOGS.get(hart)?.lock().count)
}

/// Returns the number of times that a hart has entered a guest.
pub fn entries(hart: usize) -> Option<u64> {
    Some(LOGS.get(hart)?.lock().entries)
}

/// Returns the VMID of the guest that a hart has entered last.
pub fn vmid(hart: usize) -> Option<u64> {
    Some(LOGS.get(hart)?.lock().vmid)
}

/// Returns a word of a fence that is still in the log. The words are those of `struct nacl_fence`
/// in `nacl_sbi.h`.
pub fn word(hart: usize, number: u64, word: usize) -> Option<u64> {
    let (fence, entries) = LOGS.get(hart)?.lock().get(number)?;
    match word {
        0 => Some(fence.how as u64),
        1 => Some(fence.kind as u64),
        2 => fence.vmid,
        3 => fence.asid,
        4 => fence.range.map(|(address, _)| address),
        5 => fence.range.map(|(_, bytes)| bytes),
        6 => Some(entries),
        _ => None,
    }
}
