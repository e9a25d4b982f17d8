// SPDX-License-Identifier: GPL-2.0

//! The way in which a test, which is user space of the host, asks the firmware.
//!
//! A request is an instruction for which user space has no other use: an access to an H CSR,
//! illegal in U-mode. `a0` holds the function (bits 7:0) and an index (bits 31:8), and `a1` an
//! argument. The result is in `a0`: [`NOTHING`] if the request names nothing that exists. The
//! host's kernel is not involved, so that asking does not change the counts.

#![deny(unsafe_code)]

use super::{counters, fence_log, misuse};
use crate::{
    machine::{csr, platform},
    shmem::Shmem,
};

/// `csrrw a0, hgeie, a0`.
pub const INSN: u64 = 0x6075_1573;
/// The result of a request that names nothing that exists.
const NOTHING: u64 = u64::MAX;

/// Serves a request.
pub fn call(a0: u64, a1: u64) -> u64 {
    let index = (a0 >> 8 & 0xff_ffff) as usize;
    match a0 & 0xff {
        0 => Some(platform::features()),
        1 => counters::event(index),
        2 => counters::calls(index >> 8, index & 0xff),
        3 => counters::csr_reads(index as u16),
        4 => counters::csr_writes(index as u16),
        5 => counters::shmem(index),
        6 => misuse::arrange(index, a1),
        // The index is a hart, and the argument a word of its shared memory.
        7 => counters::shmem(index).and_then(|address| Shmem::new(address as usize)?.word(a1)),
        8 => Some(csr::hart_id() as u64),
        // The index is a hart.
        9 => fence_log::entries(index),
        10 => fence_log::vmid(index),
        11 => fence_log::count(index),
        // The argument is the number of a fence.
        12 => fence_log::word(index >> 8, a1, index & 0xff),
        13 => misuse::skip(index, a1),
        _ => None,
    }
    .unwrap_or(NOTHING)
}
