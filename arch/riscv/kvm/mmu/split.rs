// SPDX-License-Identifier: GPL-2.0

//! Splits large pages ahead of the writes that the dirty log is about to see.
//!
//! A write to a large page that is logged splits the page. If all pages of a slot are split
//! together, the thread that starts the log spends the time, not the vCPUs.

use crate::{
    abi::pte::Level,
    mmu::table::{
        self,
        Split, //
    },
    Riscv, //
};
use kernel::kvm::{
    Gfn,
    GfnRange,
    MemoryCache,
    MmuGuard, //
};

/// Splits the large pages that map `gfns`. No fence is needed, because the parts translate to the
/// same.
///
/// May release the lock in between. Without memory for tables, what is left stays as it is, and is
/// split when it is written.
pub(super) fn split<'a>(mmu: &mut impl MmuGuard<'a, Riscv>, mut gfns: GfnRange) {
    let mut cache = MemoryCache::new();
    let end = gfns.end.min(mmu.vm().backend().gstage.end());
    while gfns.start < end {
        match table::split(mmu, &mut cache, gfns.start) {
            // Its parts may be large, too.
            Split::Done => {}
            Split::NoPage => {
                let topped_up = mmu.with_unlocked(|vm| cache.top_up(vm, 1));
                if topped_up.is_err() {
                    break;
                }
            }
            Split::Nothing(level) => gfns.start = next(level, gfns.start),
        }
        mmu.yield_if_needed(|_| ());
    }
}

/// Returns the first frame beyond what needs no split around `gfn`, which an entry of `level`
/// translates.
fn next(level: Level, gfn: Gfn) -> Gfn {
    // All entries of a table of the lowest level are pages.
    let level = level.max(Level::MEGAPAGE);
    Gfn(level.first(gfn.0) + level.pages())
}
