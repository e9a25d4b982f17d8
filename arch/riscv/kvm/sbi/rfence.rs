// SPDX-License-Identifier: GPL-2.0

//! RFENCE extension (SBI specification, chapter 8).
//!
//! A call returns when no hart that it names can use what it fences any more: the hart has left the
//! guest, and executes the fence before it enters the guest again.

use super::{
    call::{
        Answer,
        Call,
        Serve, //
    },
    harts, //
};
use crate::{
    abi::sbi::{
        FenceRange,
        HartMask,
        RfenceFn,
        SbiError, //
    },
    hart::fence,
    mmu::{
        activate,
        fence_queue::{
            Fence,
            Span, //
        },
        remote_fence, //
    },
};
use kernel::kvm::PreemptOff;

pub(super) struct Rfence;

impl Serve for Rfence {
    /// Executes or requests a fence of a few harts that waits for no other hart.
    #[inline(always)]
    fn irqs_off(call: &Call<'_>, preempt: &PreemptOff) -> Option<Result<u64, SbiError>> {
        let (vcpu, mask) = (call.vcpu, mask(call));
        let wanted = Wanted::by(call)?;
        if !harts::are_few(vcpu.vm(), mask) {
            return None;
        }
        let others = harts::harts(vcpu.vm(), mask).filter(|other| other.index() != vcpu.index());
        let done = match wanted {
            Wanted::FenceI => remote_fence::try_fence_i(others),
            Wanted::Fence(fence) => remote_fence::try_fence(others, fence),
        };
        if !done {
            return None;
        }
        if mask.contains(harts::hartid(vcpu)) {
            match wanted {
                Wanted::FenceI => fence::fence_i(),
                Wanted::Fence(fence) => activate::fence_here(vcpu, preempt, fence),
            }
        }
        Some(Ok(0))
    }

    /// Executes or requests a fence of the harts that exist. Fails if the mask names others.
    fn handle(call: &Call<'_>) -> Answer {
        let (vm, mask) = (call.vcpu.vm(), mask(call));
        let harts = harts::harts(vm, mask);
        let found = harts.clone().count();
        match Wanted::by(call) {
            Some(Wanted::FenceI) => remote_fence::fence_i(vm, harts),
            Some(Wanted::Fence(fence)) => remote_fence::fence(vm, harts, fence),
            None => return Answer::error(SbiError::NotSupported),
        }
        Answer::Return(harts::require_all(mask, found))
    }
}

/// What the harts have to execute.
#[derive(Clone, Copy)]
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

fn mask(call: &Call<'_>) -> HartMask {
    HartMask::new(call.arg(0), call.arg(1))
}

/// Returns the fence of `size` bytes from `start` on, for one ASID or for all.
///
/// A range that leaves the address space could be refused, but KVM has always served it. To fence
/// too much is never wrong.
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
