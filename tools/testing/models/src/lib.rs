// SPDX-License-Identifier: GPL-2.0

//! A page table of two levels in memory that loom watches, and what threads of the kernel and harts
//! do to it.
//!
//! The changes to its entries are those of the backend itself, by `mmu/entry.rs`. Loom tries the
//! orders of the accesses of the threads, and what the memory model lets them read, but for loads
//! that see later stores.

use kvm_riscv_logic::{
    abi::pte::{
        Fetch,
        Level,
        Pte,
        Rights,
        Write, //
    },
    mmu::entry::{
        self,
        Updated,
        Word, //
    },
};
use loom::sync::atomic::{
    AtomicU64,
    Ordering::{
        Acquire,
        Relaxed,
        Release, //
    },
};

/// The frame of the first page, at the start of a large one.
pub const FRAME: u64 = 0x400;

/// Number of pages, of the many that a large page has.
pub const PAGES: usize = 2;

/// The permission to execute, and the accessed bit.
pub const EXEC: u64 = 1 << 3;
const ACCESSED: u64 = 1 << 6;

/// Where the table is said to be.
const TABLE: u64 = 0x1000;

/// Rights to read, and to write or not.
pub const fn may(write: Write) -> Rights {
    Rights {
        write,
        fetch: Fetch::Traps,
    }
}

/// An entry.
pub struct Entry(AtomicU64);

impl Entry {
    /// Returns an entry for `pte`.
    pub fn new(pte: Pte) -> Self {
        Self(AtomicU64::new(pte.into_raw()))
    }

    /// Reads the entry.
    pub fn pte(&self) -> Pte {
        Pte::from_raw(self.read())
    }

    /// Makes the entry read-only, if it is writable.
    pub fn write_protect(&self) -> Updated {
        entry::update(self, |pte| pte.is_writable().then(|| pte.write_protected()))
    }

    /// Makes the entry writable, if the host lets it.
    pub fn make_writable(&self) -> Updated {
        entry::update(self, Pte::made_writable)
    }

    /// Sets bits of the leaf.
    pub fn set(&self, bits: u64) -> Updated {
        entry::update(self, |pte| Some(Pte::from_raw(pte.into_raw() | bits)))
    }

    /// Sets the accessed bit, as a hart does while it translates by the entry.
    pub fn access(&self) -> Updated {
        entry::update(self, |pte| {
            (!pte.is_young()).then(|| Pte::from_raw(pte.into_raw() | ACCESSED))
        })
    }
}

impl Word for Entry {
    /// Whoever follows an entry to a table depends on its value, which orders what is read there.
    /// Loom knows no such order, and gets the next stronger one.
    fn read(&self) -> u64 {
        self.0.load(Acquire)
    }

    fn compare_exchange(&self, old: u64, new: u64) -> Result<(), u64> {
        self.0
            .compare_exchange(old, new, Release, Relaxed)
            .map(|_| ())
    }
}

/// An entry for a large page, and the table that may take its place, whose entries are found by way
/// of that one only.
pub struct Tree {
    /// The upper entry.
    pub large: Entry,
    parts: [Entry; PAGES],
}

impl Tree {
    /// Returns a tree whose upper entry is `large`.
    pub fn new(large: Pte) -> Self {
        Self {
            large: Entry::new(large),
            parts: [Entry::new(Pte::EMPTY), Entry::new(Pte::EMPTY)],
        }
    }

    /// Returns a tree with one large page.
    pub fn of_large_page(write: Write) -> Self {
        Self::new(Pte::leaf(FRAME, may(write)))
    }

    /// Returns the lowest entry that translates page `index`.
    pub fn lowest(&self, index: usize) -> &Entry {
        let pte = self.large.pte();
        if pte.is_empty() || pte.is_leaf() {
            &self.large
        } else {
            &self.parts[index]
        }
    }

    /// Puts a table in the place of the upper entry. Only one thread may do so: each has a page of
    /// its own for it, and this tree has one.
    pub fn link(&self) -> bool {
        entry::link(&self.large, Pte::table(TABLE), |leaf| {
            for (i, part) in self.parts.iter().enumerate() {
                part.0.store(leaf.part(i, Level::PAGE).into_raw(), Relaxed);
            }
        })
    }

    /// Splits the large page, as a fault does while writes are logged.
    pub fn split(&self) {
        while self.is_large(self.lowest(0)) {
            self.link();
        }
    }

    /// Does `update` to all lowest entries.
    pub fn update_all(&self, update: impl Fn(&Entry) -> Updated) {
        entry::update_all(
            0..PAGES as u64,
            |frame| {
                let entry = self.lowest(frame as usize);
                let next = if self.is_large(entry) {
                    PAGES as u64
                } else {
                    frame + 1
                };
                (entry, next)
            },
            |entry| update(entry),
        );
    }

    /// Returns whether the entry is the upper one.
    pub fn is_large(&self, entry: &Entry) -> bool {
        core::ptr::eq(entry, &self.large)
    }
}
