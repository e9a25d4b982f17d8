// SPDX-License-Identifier: GPL-2.0

//! VMIDs, which tag the TLB entries of a VM.
//!
//! There may be more VMs than VMIDs. So a VMID is valid for one generation: when all are used up, a
//! new generation begins, in which each VM gets a VMID again.

#![allow(unsafe_code)]

use crate::hart::{
    fence,
    smp, //
};
use kernel::{
    access_once::AccessOnce,
    kvm::{
        PreemptOff,
        Unregistered, //
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
    /// The number of bits that `hgatp` has for a VMID.
    pub(crate) const MAX_BITS: u32 = 14;

    /// No VMID. It belongs to a generation that never comes.
    pub(crate) const NONE: Self = Self(0);

    #[inline]
    const fn new(generation: u64, vmid: u64) -> Self {
        Self(generation << Self::MAX_BITS | vmid)
    }

    #[inline]
    const fn generation(self) -> u64 {
        self.0 >> Self::MAX_BITS
    }

    /// Returns the VMID without its generation, as `hgatp` holds it.
    #[inline]
    pub(crate) const fn raw(self) -> u64 {
        self.0 & ((1 << Self::MAX_BITS) - 1)
    }
}

/// The VMID of a VM, of this generation or of an older one.
pub(crate) struct VmVmid(Atomic<u64>);

impl VmVmid {
    /// Returns the state of a VM that has no VMID yet.
    pub(crate) fn new() -> Self {
        Self(Atomic::new(Vmid::NONE.0))
    }

    /// Returns the VMID if it is of this generation.
    ///
    /// If interrupts are disabled, the answer holds until they are enabled, because a new
    /// generation begins with an interrupt on every hart.
    #[inline]
    pub(crate) fn current(&self) -> Option<Vmid> {
        // A hart that sees a VMID of this generation has been interrupted since the generation
        // began.
        let vmid = Vmid(self.0.read_once());
        (vmid.generation() == GENERATION.read_once()).then_some(vmid)
    }

    /// Returns the last VMID of the VM, of whatever generation.
    ///
    /// While preemption is disabled, no other vCPU of the VM uses a newer one on this hart.
    #[inline]
    pub(crate) fn last(&self, _: &PreemptOff) -> Vmid {
        Vmid(self.0.read_once())
    }

    /// Gives the VM a VMID of this generation. The generation may end at any time after that, so
    /// the caller checks [`current`](Self::current).
    ///
    /// May begin a new generation, and then waits for all harts.
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
            // Another vCPU of the VM has got one meanwhile.
            return;
        }
        let count = COUNT.as_ref().copied().unwrap_or(1);
        if count > 1 && *next == count {
            GENERATION.store(GENERATION.load(Relaxed) + 1, Relaxed);
            *next = 1;
            // vCPUs that run leave the guest for this interrupt, and get a new VMID before they
            // enter the guest again. It drops what the harts have cached under the old VMIDs.
            smp::on_each(|_| fence::hfence_gvma_all());
        }
        // Without VMIDs, all VMs share VMID 0, and a hart fences whenever it enters another VM.
        let vmid = Vmid::new(GENERATION.load(Relaxed), if count > 1 { *next } else { 0 });
        self.0.store(vmid.0, Release);
        if count > 1 {
            *next += 1;
        }
    }
}

kernel::sync::global_lock! {
    // SAFETY: `init()` initializes it before there is a VM, and only VMs use it.
    unsafe(uninit) static NEXT: Mutex<u64> = 1;
}

/// The current generation. Changes under the lock.
static GENERATION: Atomic<u64> = Atomic::new(1);

/// The number of VMIDs, including 0, which is never given to a VM. It is 1 if VMIDs are not used.
static COUNT: SetOnce<u64> = SetOnce::new();

/// Returns whether VMIDs are used.
#[inline]
pub(crate) fn in_use() -> bool {
    COUNT.as_ref().is_some_and(|count| *count > 1)
}

/// Decides whether VMIDs are used, for harts with `bits` bits of VMID.
///
/// They are used if each of `cpus` CPUs can run a VM of its own. VMID 0 does not count.
pub(crate) fn init(_: &Unregistered, bits: u32, cpus: u32) {
    let count = 1 << bits.min(Vmid::MAX_BITS);
    if COUNT.populate(if count > u64::from(cpus) { count } else { 1 }) {
        // SAFETY: This is the only time, because the count is decided once. There is no VM yet that
        // takes the lock.
        unsafe { NEXT.init() };
    }
}
