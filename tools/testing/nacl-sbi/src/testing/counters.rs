// SPDX-License-Identifier: GPL-2.0

//! Counters of the events on all harts since boot, for tests to judge.

#![deny(unsafe_code)]

use crate::machine::{
    csr::{h_index, H_COUNT},
    MAX_HARTS,
};
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// Events that are counted. SBI calls and accesses to CSRs have counters of their own.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Event {
    /// An SRET that entered a guest.
    Sret,
    /// A trap or interrupt that left a guest.
    GuestExit,
    HfenceGvma,
    HfenceVvma,
    Hlv,
    Hlvx,
    Hsv,
    /// A dirty CSR was written.
    CsrSynchronized,
    /// A pending fence was executed.
    HfenceSynchronized,
    Autoswap,
    /// A hart was stopped while its shared memory was set.
    StoppedWithShmem,
    /// Shared memory was set that held a dirty CSR or a pending fence.
    ShmemNotClean,
    /// A guest was entered, and every HFENCE.VVMA since the last entry acted on other VMIDs.
    VvmaOfAnotherVmid,
    /// An HFENCE.VVMA was executed while a `hgatp` with another VMID waited in shared memory.
    VvmaAheadOfHgatp,
    /// An SBI call, of any extension.
    Call,
    /// `hgatp`, or what `henvcfg` says about VS-stage translation, changed while `vsatp` was not
    /// zero.
    ChangeUnderVsatp,
    Count,
}

/// The extensions whose calls are counted by function. The last entry stands for all others.
const EXTENSIONS: [usize; 9] = [
    sbi_spec::base::EID_BASE,
    sbi_spec::time::EID_TIME,
    sbi_spec::spi::EID_SPI,
    sbi_spec::rfnc::EID_RFNC,
    sbi_spec::hsm::EID_HSM,
    sbi_spec::srst::EID_SRST,
    sbi_spec::dbcn::EID_DBCN,
    sbi_spec::nacl::EID_NACL,
    usize::MAX,
];
const FUNCTIONS: usize = 8;

static EVENTS: [AtomicU64; Event::Count as usize] =
    [const { AtomicU64::new(0) }; Event::Count as usize];
static CALLS: [AtomicU64; EXTENSIONS.len() * FUNCTIONS] =
    [const { AtomicU64::new(0) }; EXTENSIONS.len() * FUNCTIONS];
static CSR_READS: [AtomicU64; H_COUNT] = [const { AtomicU64::new(0) }; H_COUNT];
static CSR_WRITES: [AtomicU64; H_COUNT] = [const { AtomicU64::new(0) }; H_COUNT];
static SHMEM: [AtomicUsize; MAX_HARTS] = [const { AtomicUsize::new(0) }; MAX_HARTS];

fn increment(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

pub fn count(event: Event) {
    increment(&EVENTS[event as usize]);
}

pub fn count_call(extension: usize, function: usize) {
    let last = EXTENSIONS.len() - 1;
    let row = EXTENSIONS.iter().position(|&e| e == extension);
    let column = function.min(FUNCTIONS - 1);
    increment(&CALLS[row.unwrap_or(last) * FUNCTIONS + column]);
    count(Event::Call);
}

pub fn count_csr_read(csr: u16) {
    increment(&CSR_READS[h_index(csr)]);
}

pub fn count_csr_write(csr: u16) {
    increment(&CSR_WRITES[h_index(csr)]);
}

/// Records the address of a hart's shared memory; zero if it has none.
pub fn note_shmem(hart: usize, address: usize) {
    SHMEM[hart].store(address, Relaxed);
}

fn at(counters: &[AtomicU64], index: usize) -> Option<u64> {
    Some(counters.get(index)?.load(Relaxed))
}

pub fn event(index: usize) -> Option<u64> {
    at(&EVENTS, index)
}

/// Returns the number of calls of a function, by the row of its extension and its own number.
pub fn calls(row: usize, function: usize) -> Option<u64> {
    (function < FUNCTIONS).then(|| at(&CALLS, row * FUNCTIONS + function))?
}

/// Returns the number of instructions that only read a CSR.
pub fn csr_reads(csr: u16) -> Option<u64> {
    at(&CSR_READS, h_index(csr))
}

/// Returns the number of instructions that wrote a CSR, including those that also read it.
pub fn csr_writes(csr: u16) -> Option<u64> {
    at(&CSR_WRITES, h_index(csr))
}

/// Returns the address of a hart's shared memory; zero if it has none.
pub fn shmem(hart: usize) -> Option<u64> {
    Some(SHMEM.get(hart)?.load(Relaxed) as u64)
}
