// SPDX-License-Identifier: GPL-2.0

//! RFENCE extension (SBI specification, chapter 8).
//!
//! The calls return when no hart that they name can use what they fence any more: it has left the
//! guest, and does the fence before it enters it again.

use super::{
    Answer,
    Call, //
};
use crate::{
    hfence::{
        Fence,
        Span, //
    },
    sbi_abi::{
        FenceRange,
        HartMask,
        RfenceFn,
        SbiError, //
    },
    tlb, //
};

pub(super) fn handle(call: &Call<'_>) -> Answer {
    let vm = call.vcpu.vm();
    let harts = HartMask::new(call.arg(0), call.arg(1));
    let asid = match RfenceFn::from_raw(call.fid) {
        Some(RfenceFn::RemoteFenceI) => {
            tlb::request_of(vm, harts, tlb::FENCE_I);
            return Answer::DONE;
        }
        Some(RfenceFn::RemoteSfenceVma) => None,
        Some(RfenceFn::RemoteSfenceVmaAsid) => Some(call.arg(4)),
        // The guest has no H extension.
        _ => return Answer::error(SbiError::NotSupported),
    };
    tlb::request_fence_of(vm, harts, sfence(call.arg(2), call.arg(3), asid));
    Answer::DONE
}

/// Returns the fence of `size` bytes from `start` on, by one ASID or by all.
///
/// A range that leaves the address space could be refused, but guests have always been served. To
/// fence too much is never wrong.
pub(super) fn sfence(start: u64, size: u64, asid: Option<u64>) -> Fence {
    let range = FenceRange::new(start, size).unwrap_or(FenceRange::All);
    match (range, asid) {
        (FenceRange::All, None) => Fence::AllGvas,
        (FenceRange::All, Some(asid)) => Fence::Asid(asid),
        (FenceRange::Span { start, size }, None) => Fence::Gva(Span::new(start, size)),
        (FenceRange::Span { start, size }, Some(asid)) => {
            Fence::GvaOfAsid(Span::new(start, size), asid)
        }
    }
}
