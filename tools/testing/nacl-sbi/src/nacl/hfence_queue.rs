// SPDX-License-Identifier: GPL-2.0

//! The queue of fences in shared memory.

use crate::{
    machine::fence::{self, Operand},
    shmem::{HfenceEntry, Shmem, HFENCE_COUNT},
    testing::{
        counters::{self, Event},
        fence_log::{self, How, Kind},
        misuse::{self, Misuse},
    },
};

/// Executes all pending fences; or none, if a test has asked for that.
pub fn synchronize_all(shmem: Shmem) {
    let mut pending = (0..HFENCE_COUNT).filter(|&index| shmem.hfence(index).is_pending());
    let stay = pending.next().is_some() && misuse::takes_place(Misuse::HfencesStay);
    for index in 0..HFENCE_COUNT {
        if stay {
            leave(shmem, index);
        } else {
            synchronize(shmem, index);
        }
    }
}

/// Writes a pending fence to the log as one that was left in the queue.
fn leave(shmem: Shmem, index: usize) {
    let entry = shmem.hfence(index);
    if entry.is_pending() {
        note(How::Left, &entry);
    }
}

/// Executes one fence of the queue if it is pending.
pub fn synchronize(shmem: Shmem, index: usize) {
    let entry = shmem.hfence(index);
    if entry.is_pending() {
        counters::count(Event::HfenceSynchronized);
        note(How::Queue, &entry);
        carry_out(&entry);
        shmem.set_hfence_done(index);
    }
}

/// Executes a fence on this hart.
fn carry_out(entry: &HfenceEntry) {
    let config = entry.config;
    let vmid = config >> 16 & 0x3fff;
    let asid = config & 0xffff;
    let (shift, address, _) = range(entry);
    // The hart may have cached parts of a large page as translations of smaller pages.
    let pages = |fence: &dyn Fn(Operand)| match shift {
        12 => fence::each(address, entry.page_count, shift, fence),
        _ => fence(None),
    };
    match config >> 56 & 0xf {
        0 => pages(&|address| fence::gvma_at(address, None)),
        1 => fence::gvma(None, None),
        2 => pages(&|address| fence::gvma_at(address, Some(vmid))),
        3 => fence::gvma(None, Some(vmid)),
        4 => pages(&|address| fence::vvma(vmid, address, None)),
        5 => fence::vvma(vmid, None, None),
        6 => pages(&|address| fence::vvma(vmid, address, Some(asid))),
        7 => fence::vvma(vmid, None, Some(asid)),
        // A reserved type can mean no more than this.
        _ => fence::everything(),
    }
}

/// Returns the base-2 logarithm of a fence's page size, its first address, and its length in bytes.
fn range(entry: &HfenceEntry) -> (u64, u64, u64) {
    let shift = (entry.config >> 48 & 0x7f) + 12;
    // With an order that is too large, the fence acts on all addresses, and the length is zero.
    let bytes = |pages: u64| pages.checked_shl(shift as u32).unwrap_or(0);
    (shift, bytes(entry.page_number), bytes(entry.page_count))
}

/// Writes a fence to the log for tests.
fn note(how: How, entry: &HfenceEntry) {
    let fence = |kind, vmid, asid, range| fence_log::Fence {
        how,
        kind,
        vmid,
        asid,
        range,
    };
    let config = entry.config;
    let (_, address, bytes) = range(entry);
    let (vmid, asid) = (Some(config >> 16 & 0x3fff), Some(config & 0xffff));
    let range = Some((address, bytes));
    fence_log::note(match config >> 56 & 0xf {
        0 => fence(Kind::Gvma, None, None, range),
        2 => fence(Kind::Gvma, vmid, None, range),
        3 => fence(Kind::Gvma, vmid, None, None),
        4 => fence(Kind::Vvma, vmid, None, range),
        5 => fence(Kind::Vvma, vmid, None, None),
        6 => fence(Kind::Vvma, vmid, asid, range),
        7 => fence(Kind::Vvma, vmid, asid, None),
        _ => fence(Kind::Gvma, None, None, None),
    });
}

/// Returns whether no fence is pending.
pub fn is_empty(shmem: Shmem) -> bool {
    !(0..HFENCE_COUNT).any(|index| shmem.hfence(index).is_pending())
}
