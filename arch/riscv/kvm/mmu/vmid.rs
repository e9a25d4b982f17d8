// SPDX-License-Identifier: GPL-2.0

//! VMIDs: identifiers of VMs that TLB entries are tagged with. There are fewer of them than there may
//! be VMs, so they are handed out for a generation, and all anew in the next.

#![allow(unsafe_code)]

use crate::hart::{
    fence,
    smp, //
};
use kernel::{
    kvm::{
        atomic::Once,
        PreemptOff, //
    },
    prelude::*,
    sync::{
        atomic::{
            ordering::{
                Relaxed,
                Release, //
            },
            Atomic, //
        },
        SetOnce, //
    },
};

/// A VMID together with its generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Vmid(u64);

impl Vmid {
    /// What `hgatp` has room for.
    pub(crate) const MAX_BITS: u32 = 14;

    /// No VMID: of a generation that never is.
    pub(crate) const NONE: Self = Self(0);

    #[inline]
    const fn new(generation: u64, vmid: u64) -> Self {
        Self(generation << Self::MAX_BITS | vmid)
    }

    #[inline]
    const fn generation(self) -> u64 {
        self.0 >> Self::MAX_BITS
    }

    /// Returns the value for `hgatp`.
    #[inline]
    pub(crate) const fn raw(self) -> u64 {
        self.0 & ((1 << Self::MAX_BITS) - 1)
    }
}

/// The VMID of a VM, of this generation or of an earlier one.
pub(crate) struct VmVmid(Atomic<u64>);

impl VmVmid {
    /// Returns the state of a VM that has none yet.
    pub(crate) fn new() -> Self {
        Self(Atomic::new(Vmid::NONE.0))
    }

    /// Returns the VMID, if it is of this generation.
    ///
    /// With interrupts disabled, the answer holds until they are enabled: a new generation begins
    /// with an interrupt to every hart.
    #[inline]
    pub(crate) fn current(&self) -> Option<Vmid> {
        // Whoever sees a VMID of this generation has been interrupted since it began.
        let vmid = Vmid(self.0.read_once());
        (vmid.generation() == GENERATION.read_once()).then_some(vmid)
    }

    /// Returns the VMID that the VM had last.
    ///
    /// With preemption disabled, no other vCPU of the VM uses this hart by a newer one.
    #[inline]
    pub(crate) fn last(&self, _: &PreemptOff) -> Vmid {
        Vmid(self.0.read_once())
    }

    /// Sees to it that the VM has a VMID of this generation, for now: [`current`](Self::current)
    /// tells whether it still has. May begin a new generation, and waits for all harts then.
    #[inline]
    pub(crate) fn ensure(&self) {
        if self.current().is_none() {
            self.renew();
        }
    }

    #[cold]
    fn renew(&self) {
        let mut next = NEXT.lock();
        if self.current().is_some() {
            // Another vCPU of the VM has been faster.
            return;
        }
        let count = COUNT.as_ref().copied().unwrap_or(1);
        if count > 1 && *next == count {
            GENERATION.store(GENERATION.load(Relaxed) + 1, Relaxed);
            *next = 1;
            // VMs that run leave the guest for this, and find that they need a VMID before they
            // enter it again. Nothing is left of what harts have cached by the old VMIDs.
            smp::on_each(fence::hfence_gvma_all);
        }
        // Without VMIDs in the hart all VMs have the same, 0; each entry of another VM flushes.
        let vmid = Vmid::new(GENERATION.load(Relaxed), if count > 1 { *next } else { 0 });
        self.0.store(vmid.0, Release);
        if count > 1 {
            *next += 1;
        }
    }
}

kernel::sync::global_lock! {
    // SAFETY: `init()` initializes it before there is a VM.
    unsafe(uninit) static NEXT: Mutex<u64> = 1;
}

/// The generation that counts. Changes under the lock.
static GENERATION: Atomic<u64> = Atomic::new(1);

/// How many VMIDs there are, zero included, which is not handed out; 1 if they are not used.
static COUNT: SetOnce<u64> = SetOnce::new();

/// Returns whether VMIDs are used.
#[inline]
pub(crate) fn in_use() -> bool {
    COUNT.as_ref().is_some_and(|count| *count > 1)
}

/// Decides about the use of VMIDs on a hart that has so many bits for them.
///
/// There have to be enough for all CPUs to run a VM each, and one to spare, since 0 is not used.
pub(crate) fn init(bits: u32, cpus: u32) {
    // SAFETY: Called once, when the module is loaded, before there is a VM that takes the lock.
    unsafe { NEXT.init() };
    let count = 1 << bits.min(Vmid::MAX_BITS);
    let _ = COUNT.populate(if count > u64::from(cpus) { count } else { 1 });
}
