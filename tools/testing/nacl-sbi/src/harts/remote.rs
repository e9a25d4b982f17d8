// SPDX-License-Identifier: GPL-2.0

//! Requests between harts: interrupts and fences.

use super::state;
use crate::{
    hart::Hart,
    host::interrupts,
    machine::{
        fence::{self, Operand},
        irq::VSSIP,
        platform, MAX_HARTS,
    },
    testing::fence_log::{self, How},
};
use core::sync::atomic::{AtomicBool, Ordering::*};
use rustsbi::HartMask;
use spin::Mutex;

/// A fence that all harts of a request execute.
#[derive(Clone, Copy)]
pub struct Fence {
    pub kind: Kind,
    pub start: u64,
    pub size: u64,
}

/// The kind of a fence, with the VMID and ASID that it acts on.
#[derive(Clone, Copy)]
pub enum Kind {
    FenceI,
    SfenceVma(Option<u64>),
    HfenceGvma(Option<u64>),
    HfenceVvma(u64, Option<u64>),
}

static SOFTWARE: [AtomicBool; MAX_HARTS] = [const { AtomicBool::new(false) }; MAX_HARTS];
static FENCING: [AtomicBool; MAX_HARTS] = [const { AtomicBool::new(false) }; MAX_HARTS];
/// Serializes fences. The holder writes [`FENCE`], and waits until all harts of the request have
/// executed it.
static LOCK: Mutex<()> = Mutex::new(());
static FENCE: Mutex<Option<Fence>> = Mutex::new(None);

const PAGE_SHIFT: u64 = 12;

impl Fence {
    /// Returns whether the fence acts on all addresses.
    fn is_all(&self) -> bool {
        self.start == 0 && self.size == 0 || self.size == u64::MAX
    }

    /// Calls `fence` for each page of the range.
    fn each(&self, fence: impl Fn(Operand)) {
        if self.is_all() {
            return fence(None);
        }
        let last = self.start.saturating_add(self.size.saturating_sub(1));
        let first = self.start >> PAGE_SHIFT;
        let pages = (last >> PAGE_SHIFT) - first + 1;
        fence::each(first << PAGE_SHIFT, pages, PAGE_SHIFT, fence);
    }

    /// Writes a fence of a guest's translations to the log for tests.
    fn note(&self) {
        let (kind, vmid, asid) = match self.kind {
            Kind::HfenceGvma(vmid) => (fence_log::Kind::Gvma, vmid, None),
            Kind::HfenceVvma(vmid, asid) => (fence_log::Kind::Vvma, Some(vmid), asid),
            Kind::FenceI | Kind::SfenceVma(_) => return,
        };
        fence_log::note(fence_log::Fence {
            how: How::Call,
            kind,
            vmid,
            asid,
            range: (!self.is_all()).then_some((self.start, self.size)),
        });
    }

    /// Executes the fence on this hart.
    pub fn execute(&self) {
        self.note();
        match self.kind {
            Kind::FenceI => fence::fence_i(),
            Kind::SfenceVma(asid) => self.each(|address| fence::sfence_vma(address, asid)),
            Kind::HfenceGvma(vmid) => self.each(|address| fence::gvma_at(address, vmid)),
            Kind::HfenceVvma(vmid, asid) => self.each(|address| fence::vvma(vmid, address, asid)),
        }
    }
}

/// Returns the harts of a mask, or [`None`] if one of them does not exist.
fn harts(mask: HartMask) -> Option<impl Iterator<Item = usize>> {
    let all = 0..platform::get().harts;
    let (bits, base) = mask.into_inner();
    if base != usize::MAX {
        let highest = bits.checked_ilog2().map(|bit| bit as usize);
        let beyond = |bit: usize| {
            base.checked_add(bit)
                .is_none_or(|hart| !all.contains(&hart))
        };
        if highest.is_some_and(beyond) {
            return None;
        }
    }
    Some(all.filter(move |&hart| mask.has_bit(hart)))
}

/// Sends a software interrupt to the hosts of these harts. Returns whether all harts exist.
pub fn interrupt(mask: HartMask) -> bool {
    let Some(harts) = harts(mask) else {
        return false;
    };
    for hart in harts {
        SOFTWARE[hart].store(true, Release);
        platform::get().set_msip(hart, true);
    }
    true
}

/// Executes a fence on all these harts, and waits for them. Returns whether all harts exist.
pub fn fence(this: usize, mask: HartMask, fence: Fence) -> bool {
    let Some(harts) = harts(mask) else {
        return false;
    };
    let guard = loop {
        match LOCK.try_lock() {
            Some(guard) => break guard,
            // The holder may be waiting for this hart.
            None => serve_fence(this),
        }
    };
    *FENCE.lock() = Some(fence);
    let mut asked = [false; MAX_HARTS];
    for hart in harts {
        if hart == this {
            fence.execute();
        } else if state::is_running(hart) {
            asked[hart] = true;
            FENCING[hart].store(true, Release);
            platform::get().set_msip(hart, true);
        }
    }
    for (hart, _) in asked.iter().enumerate().filter(|(_, &asked)| asked) {
        while FENCING[hart].load(Acquire) {
            core::hint::spin_loop();
        }
    }
    drop(guard);
    true
}

/// Executes the fence that another hart has requested of this one, if any.
fn serve_fence(this: usize) {
    if !FENCING[this].load(Acquire) {
        return;
    }
    let fence = *FENCE.lock();
    if let Some(fence) = fence {
        fence.execute();
    }
    FENCING[this].store(false, Release);
}

/// Handles the interrupt by which other harts make requests.
pub fn receive(hart: &mut Hart) {
    platform::get().set_msip(hart.id, false);
    serve_fence(hart.id);
    if SOFTWARE[hart.id].swap(false, AcqRel) {
        interrupts::set(hart, VSSIP, true);
    }
}

/// Handles requests to a hart that is stopped: fences are executed, and interrupts are discarded.
pub fn receive_stopped(hart: usize) {
    platform::get().set_msip(hart, false);
    serve_fence(hart);
    SOFTWARE[hart].store(false, Release);
}
