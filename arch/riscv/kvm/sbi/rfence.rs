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
        FirmwareEvent,
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
use kernel::{
    kvm::PreemptOff,
    sync::atomic::ordering::Relaxed, //
};

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
            Wanted::Sfence(fence) => remote_fence::try_fence(others, fence),
        };
        if !done {
            return None;
        }
        if mask.contains(harts::hartid(vcpu)) {
            match wanted {
                Wanted::FenceI => fence::fence_i(),
                Wanted::Sfence(fence) => activate::fence_here(vcpu, preempt, fence),
            }
        }
        wanted.count_sent(call);
        wanted.count_received(call, mask);
        Some(Ok(0))
    }

    /// Executes or requests a fence of the harts that exist. Fails if the mask names others.
    fn handle(call: &Call<'_>) -> Answer {
        let mask = mask(call);
        let Some(wanted) = Wanted::by(call) else {
            return Answer::error(SbiError::NotSupported);
        };
        let found = wanted.fence_each(call, mask);
        wanted.count_sent(call);
        Answer::Return(harts::require_all(mask, found))
    }
}

/// What the harts have to execute.
#[derive(Clone, Copy)]
pub(super) enum Wanted {
    FenceI,
    Sfence(Fence),
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
        Some(Self::sfence(call.arg(2), call.arg(3), asid))
    }

    /// Returns the fence of `size` bytes from `start` on, for one ASID or for all.
    ///
    /// A range that leaves the address space could be refused, but KVM has always served it. To
    /// fence too much is never wrong.
    pub(super) fn sfence(start: u64, size: u64, asid: Option<u64>) -> Self {
        let range = FenceRange::new(start, size).unwrap_or(FenceRange::All);
        Self::Sfence(match (range, asid) {
            (FenceRange::All, None) => Fence::AllGvas,
            (FenceRange::All, Some(asid)) => Fence::Asid(asid),
            (FenceRange::Span { start, size }, None) => Fence::Gva(Span::new(start, size)),
            (FenceRange::Span { start, size }, Some(asid)) => {
                Fence::GvaOfAsid(Span::new(start, size), asid)
            }
        })
    }

    /// Executes or requests the fence of the harts that exist, and returns how many they are.
    pub(super) fn fence_each(self, call: &Call<'_>, mask: HartMask) -> usize {
        let vm = call.vcpu.vm();
        let harts = harts::harts(vm, mask);
        let found = harts.clone().count();
        match self {
            Self::FenceI => remote_fence::fence_i(vm, harts),
            Self::Sfence(fence) => remote_fence::fence(vm, harts, fence),
        }
        self.count_received(call, mask);
        found
    }

    /// Counts that the guest has sent the request.
    #[inline]
    pub(super) fn count_sent(self, call: &Call<'_>) {
        let pmu = &call.vcpu.shared().pmu;
        if pmu.counts_firmware() {
            let (sent, _) = self.events();
            sent.iter().for_each(|event| pmu.count(*event));
        }
    }

    /// Counts that the guest's harts have received the request.
    #[inline]
    fn count_received(self, call: &Call<'_>, mask: HartMask) {
        if call.vcpu.vm().backend().counts_firmware.load(Relaxed) {
            self.count_each(call, mask);
        }
    }

    #[cold]
    fn count_each(self, call: &Call<'_>, mask: HartMask) {
        let (_, received) = self.events();
        for hart in harts::harts(call.vcpu.vm(), mask) {
            let pmu = &hart.shared().pmu;
            received.iter().for_each(|event| pmu.count(*event));
        }
    }

    /// Returns the events that the request is, of the hart that sends it and of each that receives
    /// it.
    ///
    /// An SFENCE.VMA of the guest is also counted as the HFENCE.VVMA that the host executes for it,
    /// because KVM has always done that.
    fn events(self) -> (&'static [FirmwareEvent], &'static [FirmwareEvent]) {
        use FirmwareEvent::*;

        match self {
            Self::FenceI => (&[FenceISent], &[FenceIReceived]),
            Self::Sfence(Fence::Asid(_) | Fence::GvaOfAsid(..)) => (
                &[SfenceVmaAsidSent, HfenceVvmaAsidSent],
                &[SfenceVmaAsidReceived, HfenceVvmaAsidReceived],
            ),
            Self::Sfence(_) => (
                &[SfenceVmaSent, HfenceVvmaSent],
                &[SfenceVmaReceived, HfenceVvmaReceived],
            ),
        }
    }
}

fn mask(call: &Call<'_>) -> HartMask {
    HartMask::new(call.arg(0), call.arg(1))
}
