// SPDX-License-Identifier: GPL-2.0

//! How an entry of a page table changes while others change it, too: harts, which set bits, and
//! threads that hold the MMU lock for reading as well.
//!
//! Each change is one compare-and-exchange, which names what has been seen. This file depends on
//! `core` alone, so that the orders in which threads may do it are tried on the build machine
//! (`tools/testing/models`).

use crate::abi::pte::Pte;
use core::ops::Range;

/// The memory of an entry.
pub trait Word {
    /// Reads the entry.
    fn read(&self) -> u64;

    /// Replaces `old` by `new`, which is seen no sooner than all that this thread has stored
    /// before. Returns what the entry is instead, if it is not `old`.
    fn compare_exchange(&self, old: u64, new: u64) -> Result<(), u64>;
}

/// What [`update`] has found.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Updated {
    /// A leaf, which is another one now.
    Changed,
    /// Nothing, or a leaf that stays as it is.
    Kept,
    /// A table. If it was a leaf before, the parts of that are there, and are not changed.
    Table,
}

/// Replaces the leaf by what `f` returns for it, unless that is [`None`].
///
/// `f` is called again if a hart or another thread changes the leaf meanwhile.
#[inline]
pub fn update(word: &impl Word, f: impl Fn(Pte) -> Option<Pte>) -> Updated {
    let mut old = word.read();
    loop {
        let pte = Pte::from_raw(old);
        if !pte.is_leaf() {
            return if pte.is_empty() {
                Updated::Kept
            } else {
                Updated::Table
            };
        }
        let Some(new) = f(pte) else {
            return Updated::Kept;
        };
        match word.compare_exchange(old, new.into_raw()) {
            Ok(()) => return Updated::Changed,
            Err(now) => old = now,
        }
    }
}

/// Does `update` to the lowest entry that translates each of `frames`. Returns whether that has
/// changed any.
///
/// `lowest` finds the entry for a frame, and the first frame beyond those that it translates. A
/// fault may split a leaf after it was found, and before it is updated. Then its parts are found.
#[inline]
pub fn update_all<E>(
    frames: Range<u64>,
    mut lowest: impl FnMut(u64) -> (E, u64),
    update: impl Fn(&E) -> Updated,
) -> bool {
    let mut changed = false;
    let mut frame = frames.start;
    while frame < frames.end {
        let (entry, next) = lowest(frame);
        match update(&entry) {
            Updated::Table => continue,
            Updated::Changed => changed = true,
            Updated::Kept => {}
        }
        frame = next;
    }
    changed
}

/// Replaces `old` by `new`. Returns `false`, having done nothing, if the entry is not `old`.
#[inline]
pub fn exchange(word: &impl Word, old: Pte, new: Pte) -> bool {
    word.compare_exchange(old.into_raw(), new.into_raw())
        .is_ok()
}

/// Replaces nothing, or a leaf, by `table`, an entry that leads to a table. Returns `false` if the
/// entry leads to a table already, or if somebody else changes it meanwhile.
///
/// `write_parts` gets the leaf, and writes its parts to the new table.
#[inline]
pub fn link(word: &impl Word, table: Pte, write_parts: impl FnOnce(Pte)) -> bool {
    let old = Pte::from_raw(word.read());
    if old.is_leaf() {
        write_parts(old);
    } else if !old.is_empty() {
        return false;
    }
    exchange(word, old, table)
}
