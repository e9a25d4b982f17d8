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
    // A range that leaves the address space could be refused, but guests have always been served.
    // To fence too much is never wrong.
    let range = FenceRange::new(call.arg(2), call.arg(3)).unwrap_or(FenceRange::All);

    let fence = match (RfenceFn::from_raw(call.fid), range) {
        (Some(RfenceFn::RemoteFenceI), _) => {
            tlb::request_of(vm, harts, tlb::FENCE_I);
            return Answer::DONE;
        }
        (Some(RfenceFn::RemoteSfenceVma), FenceRange::All) => Fence::AllGvas,
        (Some(RfenceFn::RemoteSfenceVma), FenceRange::Span { start, size }) => {
            Fence::Gva(Span::new(start, size))
        }
        (Some(RfenceFn::RemoteSfenceVmaAsid), FenceRange::All) => Fence::Asid(call.arg(4)),
        (Some(RfenceFn::RemoteSfenceVmaAsid), FenceRange::Span { start, size }) => {
            Fence::GvaOfAsid(Span::new(start, size), call.arg(4))
        }
        // The guest has no H extension.
        _ => return Answer::error(SbiError::NotSupported),
    };
    tlb::request_fence_of(vm, harts, fence);
    Answer::DONE
}
