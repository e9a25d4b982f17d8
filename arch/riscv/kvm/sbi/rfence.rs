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
    abi::sbi::{
        FenceRange,
        HartMask,
        RfenceFn,
        SbiError, //
    },
    mmu::{
        fence_queue::{
            Fence,
            Span, //
        },
        tlb, //
    },
};
use kernel::kvm::PreemptOff;

/// What harts are to do.
enum Wanted {
    FenceI,
    Fence(Fence),
}

impl Wanted {
    fn by(call: &Call<'_>) -> Option<Self> {
        let asid = match RfenceFn::from_raw(call.fid)? {
            RfenceFn::RemoteFenceI => return Some(Self::FenceI),
            RfenceFn::RemoteSfenceVma => None,
            RfenceFn::RemoteSfenceVmaAsid => Some(call.arg(4)),
            // The guest has no H extension.
            _ => return None,
        };
        Some(Self::Fence(sfence(call.arg(2), call.arg(3), asid)))
    }
}

fn harts(call: &Call<'_>) -> HartMask {
    HartMask::new(call.arg(0), call.arg(1))
}

pub(super) fn handle(call: &Call<'_>) -> Answer {
    let vm = call.vcpu.vm();
    match Wanted::by(call) {
        Some(Wanted::FenceI) => tlb::request_of(vm, harts(call), tlb::FENCE_I),
        Some(Wanted::Fence(fence)) => tlb::request_fence_of(vm, harts(call), fence),
        None => return Answer::error(SbiError::NotSupported),
    }
    Answer::DONE
}

/// A fence that waits for no other hart.
pub(super) fn at_once(call: &Call<'_>, preempt: &PreemptOff) -> Option<Result<u64, SbiError>> {
    let done = match Wanted::by(call)? {
        Wanted::FenceI => tlb::try_fence_i_of(call.vcpu, harts(call)),
        Wanted::Fence(fence) => tlb::try_fence_of(call.vcpu, preempt, harts(call), fence),
    };
    done.then_some(Ok(0))
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
