// SPDX-License-Identifier: GPL-2.0

//! Two or three threads that change entries of a page table at a time.

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
        Updated, //
    },
};
use kvm_riscv_models::{
    may,
    Entry,
    Tree,
    EXEC,
    FRAME,
    PAGES, //
};
use loom::{
    sync::{
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{
                Relaxed,
                SeqCst, //
            },
        },
        Arc,
        RwLock, //
    },
    thread, //
};

/// Runs two functions on the same thing, each in a thread of its own.
fn both<T: Send + Sync + 'static>(
    shared: &Arc<T>,
    first: impl FnOnce(&T) + Send + 'static,
    second: impl FnOnce(&T),
) {
    let other = shared.clone();
    let thread = thread::spawn(move || first(&other));
    second(shared);
    thread.join().unwrap();
}

/// Maps a page at an entry as a fault does that has found it empty, or a leaf.
fn map(entry: &Entry, leaf: Pte) {
    loop {
        let old = entry.pte();
        let new = if old.is_empty() {
            leaf
        } else {
            assert!(old.maps_same(leaf));
            old.union(leaf)
        };
        if new == old || entry::exchange(entry, old, new) {
            return;
        }
    }
}

#[test]
fn two_faults_on_a_page_give_what_both_ask_for() {
    loom::model(|| {
        let entry = Arc::new(Entry::new(Pte::EMPTY));
        let fetch = Rights {
            fetch: Fetch::Allowed,
            write: Write::Logged,
        };
        both(
            &entry,
            |entry| map(entry, Pte::leaf(FRAME, may(Write::Allowed))),
            |entry| map(entry, Pte::leaf(FRAME, fetch)),
        );
        let pte = entry.pte();
        assert_eq!(pte.pfn(), FRAME);
        assert!(pte.is_writable());
        assert_eq!(pte, pte.made_executable());
    });
}

#[test]
fn rights_that_are_given_and_taken_do_not_disturb_each_other() {
    loom::model(|| {
        let leaf = Pte::leaf(FRAME, may(Write::Allowed)).aged();
        let entry = Arc::new(Entry::new(leaf));
        let other = entry.clone();
        let hart = thread::spawn(move || assert_eq!(other.access(), Updated::Changed));
        both(
            &entry,
            |entry| assert_eq!(entry.write_protect(), Updated::Changed),
            |entry| assert_eq!(entry.set(EXEC), Updated::Changed),
        );
        hart.join().unwrap();
        // Nothing that the hart or one of the two has done is lost.
        assert_eq!(entry.pte(), leaf.write_protected().made_executable());
        assert_ne!(leaf.made_executable(), leaf);
    });
}

#[test]
fn a_leaf_becomes_a_table_whole() {
    loom::model(|| {
        let tree = Arc::new(Tree::of_large_page(Write::Allowed));
        both(
            &tree,
            |tree| {
                tree.link();
            },
            |tree| {
                for index in 0..PAGES {
                    let entry = tree.lowest(index);
                    let pte = entry.pte();
                    // Between the two reads, a large page may have become a table.
                    if tree.is_large(entry) && !pte.is_leaf() {
                        continue;
                    }
                    let part = if tree.is_large(entry) { 0 } else { index };
                    assert_eq!(pte.pfn(), FRAME + part as u64);
                    assert!(pte.is_leaf() && pte.is_writable());
                }
            },
        );
    });
}

#[test]
fn what_changes_in_a_leaf_is_in_its_parts() {
    loom::model(|| {
        let tree = Arc::new(Tree::new(Pte::leaf(FRAME, may(Write::Logged)).aged()));
        let changed = Arc::new(AtomicBool::new(false));
        let note = changed.clone();
        both(
            &tree,
            move |tree| {
                let done = tree.large.access() == Updated::Changed;
                note.store(done, Relaxed);
            },
            Tree::split,
        );
        for index in 0..PAGES {
            let pte = tree.lowest(index).pte();
            assert_eq!(pte.is_young(), changed.load(Relaxed));
            assert_eq!(pte.pfn(), FRAME + index as u64);
        }
    });
}

/// Write-protects a large page while a fault splits it, and looks for pages that are left out.
fn protect_while_it_is_split(protect_all: fn(&Tree)) {
    loom::model(move || {
        let tree = Arc::new(Tree::of_large_page(Write::Allowed));
        both(&tree, Tree::split, protect_all);
        for index in 0..PAGES {
            assert!(!tree.lowest(index).pte().is_writable());
        }
    });
}

#[test]
fn protection_reaches_the_parts_of_a_leaf_that_is_split_meanwhile() {
    protect_while_it_is_split(|tree| tree.update_all(Entry::write_protect));
}

/// The model notices the fault that [`Updated::Table`] is there for.
#[test]
#[should_panic(expected = "is_writable")]
fn whoever_does_not_look_again_leaves_parts_out() {
    protect_while_it_is_split(|tree| {
        let _ = tree.lowest(0).write_protect();
    });
}

#[test]
fn one_of_two_faults_links_its_table() {
    loom::model(|| {
        // The other fault has found a page for a leaf meanwhile.
        let tree = Arc::new(Tree::new(Pte::EMPTY));
        let leaf = Pte::leaf(FRAME, may(Write::Allowed));
        let mapped = Arc::new(AtomicBool::new(false));
        let note = mapped.clone();
        both(
            &tree,
            move |tree| {
                note.store(entry::exchange(&tree.large, Pte::EMPTY, leaf), Relaxed);
            },
            |tree| {
                while !tree.link() {
                    // The leaf has won, and the next round splits it.
                    loom::thread::yield_now();
                }
            },
        );
        let pte = tree.large.pte();
        assert!(!pte.is_empty() && !pte.is_leaf());
        for index in 0..PAGES {
            let part = tree.lowest(index).pte();
            if mapped.load(Relaxed) {
                assert_eq!(part, leaf.part(index, Level::PAGE));
            } else {
                assert!(part.is_empty());
            }
        }
    });
}

/// A page whose writes are logged, in the guest and in a VMM that copies it.
struct Logged {
    entry: Entry,
    /// Whether the log has the page.
    dirty: AtomicBool,
    contents: AtomicU64,
    /// Held for reading by a vCPU from its look at the entry to the store that follows, and for
    /// writing by whoever fences it: a fence waits until the vCPU is out of the guest.
    in_guest: RwLock<()>,
    mmu_lock: RwLock<()>,
}

impl Logged {
    fn new(write: Write, dirty: bool) -> Self {
        Self {
            entry: Entry::new(Pte::leaf(FRAME, may(write))),
            dirty: AtomicBool::new(dirty),
            contents: AtomicU64::new(0),
            in_guest: RwLock::new(()),
            mmu_lock: RwLock::new(()),
        }
    }

    /// Stores once, after as many faults as it takes.
    fn run_guest(&self, fault: fn(&Self)) {
        loop {
            {
                let _guest = self.in_guest.read().unwrap();
                if self.entry.pte().is_writable() {
                    self.contents.store(1, Relaxed);
                    return;
                }
            }
            fault(self);
        }
    }

    fn make_writable(&self) {
        assert_ne!(self.entry.make_writable(), Updated::Table);
    }

    fn mark_dirty(&self) {
        self.dirty.swap(true, SeqCst);
    }

    /// Copies the page if the log has it, and takes it from there, as `KVM_CLEAR_DIRTY_LOG` and its
    /// caller do.
    fn copy(&self) -> u64 {
        {
            let _lock = self.mmu_lock.write().unwrap();
            if !self.dirty.swap(false, SeqCst) {
                return 0;
            }
            let _ = self.entry.write_protect();
        }
        drop(self.in_guest.write().unwrap());
        self.contents.load(Relaxed)
    }
}

/// Copies a page while the guest writes it. What is written later than copied has to be in the log.
fn copy_while_guest_writes(write: Write, dirty: bool, fault: fn(&Logged)) {
    loom::model(move || {
        let page = Arc::new(Logged::new(write, dirty));
        let other = page.clone();
        let vcpu = thread::spawn(move || other.run_guest(fault));
        let copy = page.copy();
        vcpu.join().unwrap();
        assert!(
            copy == page.contents.load(Relaxed) || page.dirty.load(SeqCst),
            "lost"
        );
    });
}

#[test]
fn a_store_is_copied_or_logged() {
    for (write, dirty) in [
        (Write::Logged, false),
        (Write::Logged, true),
        (Write::Allowed, true),
    ] {
        copy_while_guest_writes(write, dirty, |page| {
            let _lock = page.mmu_lock.read().unwrap();
            page.make_writable();
            page.mark_dirty();
        });
    }
}

/// The model notices when the log has a page before the guest can write it.
#[test]
#[should_panic(expected = "lost")]
fn a_store_that_is_logged_too_soon_is_lost() {
    copy_while_guest_writes(Write::Logged, false, |page| {
        page.mark_dirty();
        page.make_writable();
    });
}
