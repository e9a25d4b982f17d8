// SPDX-License-Identifier: GPL-2.0

//! Changes to an entry, with somebody else who changes it at the worst moment. What threads do to
//! each other in every order is in `tools/testing/models`.

use kvm_riscv_logic::{
    abi::pte::{
        Fetch,
        Level,
        Pte,
        Rights,
        Write, //
    },
    mmu::entry::{
        exchange,
        link,
        update,
        update_all,
        Updated,
        Word, //
    },
};
use std::cell::{
    Cell,
    RefCell, //
};

const TABLE: Pte = Pte::table(0x1000);

/// An entry that somebody else changes to the next of `others` whenever it is about to be replaced.
struct Contended {
    pte: Cell<Pte>,
    others: RefCell<Vec<Pte>>,
}

impl Contended {
    fn new(pte: Pte, others: &[Pte]) -> Self {
        Self {
            pte: Cell::new(pte),
            others: RefCell::new(others.iter().rev().copied().collect()),
        }
    }
}

impl Word for Contended {
    fn read(&self) -> u64 {
        self.pte.get().into_raw()
    }

    fn compare_exchange(&self, old: u64, new: u64) -> Result<(), u64> {
        if let Some(other) = self.others.borrow_mut().pop() {
            self.pte.set(other);
        }
        let now = self.read();
        if now == old {
            self.pte.set(Pte::from_raw(new));
            Ok(())
        } else {
            Err(now)
        }
    }
}

fn leaf(write: Write) -> Pte {
    let fetch = Fetch::Traps;
    Pte::leaf(0x400, Rights { write, fetch })
}

fn protect(pte: Pte) -> Option<Pte> {
    pte.is_writable().then(|| pte.write_protected())
}

#[test]
fn a_leaf_is_updated() {
    let entry = Contended::new(leaf(Write::Allowed), &[]);
    assert_eq!(update(&entry, protect), Updated::Changed);
    assert_eq!(entry.pte.get(), leaf(Write::Logged));
    assert_eq!(update(&entry, protect), Updated::Kept);
    assert_eq!(entry.pte.get(), leaf(Write::Logged));
}

#[test]
fn what_is_no_leaf_is_kept() {
    for (pte, updated) in [(Pte::EMPTY, Updated::Kept), (TABLE, Updated::Table)] {
        let entry = Contended::new(pte, &[]);
        assert_eq!(update(&entry, |_| Some(leaf(Write::Denied))), updated);
        assert_eq!(entry.pte.get(), pte);
    }
}

#[test]
fn an_update_is_of_what_is_there_at_last() {
    let more = leaf(Write::Allowed).made_executable();
    let entry = Contended::new(leaf(Write::Allowed), &[leaf(Write::Allowed).aged(), more]);
    assert_eq!(update(&entry, protect), Updated::Changed);
    assert_eq!(entry.pte.get(), more.write_protected());

    for (other, updated) in [
        (Pte::EMPTY, Updated::Kept),
        (leaf(Write::Logged), Updated::Kept),
        (TABLE, Updated::Table),
    ] {
        let entry = Contended::new(leaf(Write::Allowed), &[other]);
        assert_eq!(update(&entry, protect), updated);
        assert_eq!(entry.pte.get(), other);
    }
}

#[test]
fn an_exchange_is_of_what_was_seen() {
    let entry = Contended::new(Pte::EMPTY, &[]);
    assert!(exchange(&entry, Pte::EMPTY, leaf(Write::Logged)));
    assert!(!exchange(&entry, Pte::EMPTY, leaf(Write::Allowed)));
    assert_eq!(entry.pte.get(), leaf(Write::Logged));
}

#[test]
fn nothing_and_a_leaf_become_a_table_and_a_table_stays() {
    let parts = Cell::new(None);
    let write_parts = |pte: Pte| parts.set(Some(pte.part(1, Level::PAGE)));

    let entry = Contended::new(Pte::EMPTY, &[]);
    assert!(link(&entry, TABLE, write_parts));
    assert_eq!((entry.pte.get(), parts.get()), (TABLE, None));
    assert!(!link(&entry, Pte::table(0x2000), write_parts));
    assert_eq!((entry.pte.get(), parts.get()), (TABLE, None));

    let large = leaf(Write::Allowed);
    let entry = Contended::new(large, &[]);
    assert!(link(&entry, TABLE, write_parts));
    let part = Some(large.part(1, Level::PAGE));
    assert_eq!((entry.pte.get(), parts.get()), (TABLE, part));
}

#[test]
fn a_table_is_not_linked_if_its_parts_are_old() {
    let entry = Contended::new(leaf(Write::Allowed), &[leaf(Write::Logged)]);
    assert!(!link(&entry, TABLE, |_| ()));
    assert_eq!(entry.pte.get(), leaf(Write::Logged));
}

/// Returns the frames that are updated, in order, if each of `tables` is found to be a table first.
fn updated(tables: &[u64], pages: impl Fn(u64) -> u64) -> Vec<u64> {
    let left = RefCell::new(tables.to_vec());
    let done = RefCell::new(Vec::new());
    let changed = update_all(
        5..12,
        |frame| {
            let pages = pages(frame);
            (frame, frame - frame % pages + pages)
        },
        |&frame| {
            let mut left = left.borrow_mut();
            if let Some(place) = left.iter().position(|&table| table == frame) {
                left.remove(place);
                return Updated::Table;
            }
            done.borrow_mut().push(frame);
            if frame == 8 {
                Updated::Changed
            } else {
                Updated::Kept
            }
        },
    );
    let done = done.into_inner();
    assert!(left.into_inner().is_empty());
    assert_eq!(changed, done.contains(&8));
    done
}

#[test]
fn each_entry_of_a_range_is_updated() {
    assert_eq!(updated(&[], |_| 1), [5, 6, 7, 8, 9, 10, 11]);
    // The first and the last reach beyond the range.
    assert_eq!(updated(&[], |_| 4), [5, 8]);
    assert_eq!(
        updated(&[], |frame| if frame < 8 { 4 } else { 1 }),
        [5, 8, 9, 10, 11]
    );
    assert_eq!(updated(&[], |_| 16), [5]);
}

#[test]
fn a_table_in_place_of_a_leaf_is_looked_into() {
    assert_eq!(updated(&[5, 5, 8], |_| 4), [5, 8]);
    let split = Cell::new(false);
    let pages = |frame| {
        if frame < 8 {
            return 4;
        }
        // The leaf at 8 is split when it is to be updated.
        if split.replace(true) {
            1
        } else {
            4
        }
    };
    assert_eq!(updated(&[8], pages), [5, 8, 9, 10, 11]);
}

#[test]
fn nothing_is_done_to_no_frames() {
    let updated = update_all(3..3, |_| unreachable!(), |_: &()| unreachable!());
    assert!(!updated);
}
