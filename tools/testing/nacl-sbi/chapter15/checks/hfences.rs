// SPDX-License-Identifier: GPL-2.0

//! Checks of SYNC_HFENCE.

use crate::{
    judge::Judge,
    shmem::{Shmem, ALL},
};
use sbi_rt::{nacl_sync_hfence, SbiRet};

/// Checks SYNC_HFENCE.
pub fn sync_hfence(judge: &mut Judge, shmem: Shmem) {
    let param = SbiRet::invalid_param();
    judge.gives("SYNC_HFENCE: too large", nacl_sync_hfence(60), param);
    // All types, some reserved ones, and the last place of the queue.
    let places = [0, 1, 2, 3, 4, 5, 6, 7, 30, 59];
    for (kind, place) in places.into_iter().enumerate() {
        shmem.queue(place, kind as u64);
    }
    judge.gives("SYNC_HFENCE: one", nacl_sync_hfence(59), SbiRet::success(0));
    judge.check("SYNC_HFENCE: done", !shmem.is_pending(59));
    judge.check(
        "SYNC_HFENCE: others",
        places[..9].iter().all(|&p| shmem.is_pending(p)),
    );
    judge.gives(
        "SYNC_HFENCE: all",
        nacl_sync_hfence(ALL),
        SbiRet::success(0),
    );
    judge.check(
        "SYNC_HFENCE: all done",
        !(0..60).any(|p| shmem.is_pending(p)),
    );
}
