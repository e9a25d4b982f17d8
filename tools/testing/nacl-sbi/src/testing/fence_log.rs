// SPDX-License-Identifier: GPL-2.0

//! The fences that each hart has carried out last, or left undone: for tests to judge.
//!
//! A fence that is lost, or that is about something else, cannot be seen in what QEMU's guests do.

#![deny(unsafe_code)]

use super::counters::{self, Event};
use crate::machine::{csr::hart_id, MAX_HARTS};
use spin::Mutex;

/// How the host asked for a fence.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum How {
    Instruction,
    /// In shared memory.
    Queue,
    /// By a call, of any hart.
    Call,
    /// In shared memory, where it still is: [`Misuse::HfencesStay`](super::misuse::Misuse).
    Left,
}

/// Which translations a fence is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Gvma,
    Vvma,
}

/// A fence, as the host has asked for it. What is not there stands for all of them.
#[derive(Clone, Copy)]
pub struct Fence {
    pub how: How,
    pub kind: Kind,
    pub vmid: Option<u64>,
    pub asid: Option<u64>,
    /// The first address, and how many bytes.
    pub range: Option<(u64, u64)>,
}

const CAPACITY: usize = 128;

struct Log {
    /// Each with how often the hart had entered a guest by then.
    fences: [Option<(Fence, u64)>; CAPACITY],
    /// How many there were, of which the last are here.
    count: u64,
    /// How often the hart has entered a guest, and the VMID by which it did last.
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
    fn get(&self, number: u64) -> Option<(Fence, u64)> {
        let kept = self.count.saturating_sub(CAPACITY as u64)..self.count;
        kept.contains(&number)
            .then(|| self.fences[number as usize % CAPACITY])?
    }

    /// Returns whether HFENCE.VVMA were executed since the last entry, none of them for `vmid`.
    ///
    /// Where the log does not reach back to the last entry, nobody can say.
    fn has_only_vvma_of_others(&self, vmid: u64) -> bool {
        let mut any = false;
        for number in (0..self.count).rev() {
            match self.get(number) {
                None => return false,
                Some((_, entries)) if entries != self.entries => break,
                Some((fence, _)) if fence.how == How::Instruction && fence.kind == Kind::Vvma => {
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

/// This hart carries out a fence.
pub fn note(fence: Fence) {
    let mut log = LOGS[hart_id()].lock();
    let place = log.count as usize % CAPACITY;
    log.fences[place] = Some((fence, log.entries));
    log.count += 1;
}

/// This hart enters a guest.
///
/// HFENCE.VVMA acts on the VMID in `hgatp`. Whoever writes that too late fences for somebody else.
/// A host that changes its mind, and enters another guest than it has fenced for, looks the same:
/// this judges hosts with one VM.
pub fn note_entry(vmid: u64) {
    let mut log = LOGS[hart_id()].lock();
    if log.has_only_vvma_of_others(vmid) {
        counters::count(Event::VvmaOfAnotherVmid);
    }
    log.entries += 1;
    log.vmid = vmid;
}

/// How many fences a hart has carried out.
pub fn count(hart: usize) -> Option<u64> {
    Some(LOGS.get(hart)?.lock().count)
}

/// How often a hart has entered a guest.
pub fn entries(hart: usize) -> Option<u64> {
    Some(LOGS.get(hart)?.lock().entries)
}

/// The VMID of the guest that a hart has entered last.
pub fn vmid(hart: usize) -> Option<u64> {
    Some(LOGS.get(hart)?.lock().vmid)
}

/// A word of a fence by its number, if it is still known: `struct nacl_fence` of `nacl_sbi.h`.
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
