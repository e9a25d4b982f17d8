// SPDX-License-Identifier: GPL-2.0

//! Steal time: the guest sees in its memory how long its vCPU had to wait for a hart.
//!
//! The record is `struct sbi_sta_struct` (SBI specification, chapter 16): a sequence number, which
//! is odd while the rest changes, and the time in nanoseconds.

use crate::Riscv;
use kernel::{
    access_once::release_barrier,
    kvm::{
        Gpa,
        LoadedVcpu,
        LockedVcpu,
        Request,
        RunDelay,
        SrcuGuard, //
    },
    prelude::*, //
};

/// Bring the record up to date, before the guest runs.
const RECORD: Request = Request::arch(6);

/// The size of the record, in bytes.
const SIZE: usize = 64;
const SEQUENCE: u64 = 0;
const STEAL: u64 = 8;

/// The value of [`StealTime::shmem`] without a record.
pub(crate) const NO_SHMEM: u64 = u64::MAX;

/// The steal time of a vCPU.
#[derive(Clone, Copy)]
pub(crate) struct StealTime {
    /// Where the record is in the guest's physical memory, or [`NO_SHMEM`].
    shmem: u64,
    /// What the record has been told of, if that is known.
    told: Option<RunDelay>,
}

impl StealTime {
    /// What the address of a record is a multiple of.
    pub(crate) const ALIGN: u64 = SIZE as u64;

    /// That of a guest that has not asked for it.
    pub(crate) const OFF: Self = Self {
        shmem: NO_SHMEM,
        told: None,
    };

    /// Returns where the record is, or [`NO_SHMEM`].
    pub(crate) fn shmem(&self) -> u64 {
        self.shmem
    }

    /// Returns the state with a record at `shmem`, or without one for [`NO_SHMEM`]. Returns
    /// [`None`] if there cannot be a record.
    pub(crate) fn at(shmem: u64) -> Option<Self> {
        let is_valid = shmem == NO_SHMEM || shmem % Self::ALIGN == 0;
        is_valid.then_some(Self { shmem, told: None })
    }
}

/// Notes that the vCPU is loaded: it may have waited for that.
pub(super) fn loaded(vcpu: &LockedVcpu<'_, Riscv>) {
    if vcpu.local().steal.get().shmem != NO_SHMEM {
        vcpu.request(RECORD);
    }
}

/// Clears the memory for a new record of the vCPU, at a multiple of [`StealTime::ALIGN`], and keeps
/// the record there from now on. May sleep.
///
/// # Errors
///
/// [`EFAULT`] if there is no memory that can be written.
pub(crate) fn begin(vcpu: &LoadedVcpu<'_, Riscv>, shmem: Gpa) -> Result {
    vcpu.srcu_read_lock().write_guest(shmem, &[0; SIZE])?;
    vcpu.local().steal.set(StealTime {
        shmem: shmem.0,
        told: Some(RunDelay::of_current()),
    });
    Ok(())
}

/// Ends the record of the vCPU.
pub(crate) fn end(vcpu: &LoadedVcpu<'_, Riscv>) {
    vcpu.local().steal.set(StealTime::OFF);
}

/// Brings the record up to date, if that was requested. May sleep.
pub(crate) fn record_if_requested(vcpu: &LoadedVcpu<'_, Riscv>) {
    if !vcpu.take_request(RECORD) {
        return;
    }
    let local = vcpu.local();
    let mut steal = local.steal.get();
    if steal.shmem == NO_SHMEM {
        return;
    }
    let now = RunDelay::of_current();
    // What a vCPU has waited in another thread, or on another host, stands in the record.
    let more = steal.told.map_or(0, |told| now.since(told));
    steal.told = Some(now);
    local.steal.set(steal);
    if more != 0 && add(&vcpu.srcu_read_lock(), steal.shmem, more).is_err() {
        // User space has taken the memory away, or made it read-only.
        end(vcpu);
    }
}

/// Adds `more` nanoseconds to the record at `shmem`.
fn add(srcu: &SrcuGuard<'_, Riscv>, shmem: u64, more: u64) -> Result {
    let (sequence_at, steal_at) = (Gpa(shmem + SEQUENCE), Gpa(shmem + STEAL));
    let (mut sequence, mut steal) = ([0; 4], [0; 8]);
    srcu.read_guest(sequence_at, &mut sequence)?;
    srcu.read_guest(steal_at, &mut steal)?;
    // The number is even, unless the guest has written to the record.
    let even = u32::from_le_bytes(sequence) & !1;
    let steal = u64::from_le_bytes(steal).wrapping_add(more);
    srcu.write_guest(sequence_at, &(even | 1).to_le_bytes())?;
    // Other harts of the guest read the record, too.
    release_barrier();
    srcu.write_guest(steal_at, &steal.to_le_bytes())?;
    release_barrier();
    srcu.write_guest(sequence_at, &even.wrapping_add(2).to_le_bytes())
}
