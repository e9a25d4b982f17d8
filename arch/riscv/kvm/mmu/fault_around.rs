// SPDX-License-Identifier: GPL-2.0

//! Which neighbours of a page that the guest has faulted on are worth mapping with it.
//!
//! The table itself says how the guest goes through its memory: pages that are mapped directly
//! before or after the one that it faults on are those that it came by. So the window grows as the
//! guest goes on, in either direction, for as many threads and vCPUs as there are, and a fault that
//! continues nothing maps one page. Nothing has to be remembered.

use core::ops::Range;

/// Number of entries of a page table.
const ENTRIES: usize = 512;

/// Returns the entries of a table that are to be filled after a fault on `index`, at most `max` of
/// them: twice as many as are mapped in a row on one side of it, on the other side.
///
/// `is_mapped` says whether an entry is mapped; `index` and what it is called for are below 512.
#[inline]
pub fn window(index: usize, max: usize, is_mapped: impl Fn(usize) -> bool) -> Range<usize> {
    // Where the next entry is mapped already, somebody else has been there.
    let (after, before) = (index + 1, index.wrapping_sub(1));
    let is_free = |i: usize| i < ENTRIES && !is_mapped(i);
    if is_free(after) {
        let run = (0..index).rev().take(max / 2).take_while(|&i| is_mapped(i));
        let size = 2 * run.count();
        if size > 0 {
            return after..(after + size).min(ENTRIES);
        }
    }
    if is_free(before) {
        let run = (after..ENTRIES).take(max / 2).take_while(|&i| is_mapped(i));
        return index.saturating_sub(2 * run.count())..index;
    }
    after..after
}
