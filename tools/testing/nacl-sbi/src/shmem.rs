// SPDX-License-Identifier: GPL-2.0

//! The layout of the shared memory of nested acceleration (SBI specification, chapter 15).

use crate::machine::{
    csr::{h_index, H_COUNT},
    platform,
};
use sbi_spec::nacl::shmem_size;

pub const HFENCE_COUNT: usize = 60;
const WORD: usize = 8;
const AUTOSWAP: usize = 0x200;
const HFENCES: usize = 0x800;
const DIRTY: usize = 0xf80;
const CSRS: usize = 0x1000;
const SIZE: usize = CSRS + H_COUNT * WORD;
const _: () = assert!(SIZE == shmem_size::NATIVE);

/// The shared memory of a hart.
///
/// # Invariants
///
/// The memory is RAM of the host.
#[derive(Clone, Copy)]
pub struct Shmem(usize);

/// The words of a fence in shared memory.
pub struct HfenceEntry {
    pub config: u64,
    pub page_number: u64,
    pub page_count: u64,
}

impl HfenceEntry {
    const PENDING: u64 = 1 << 63;

    pub fn is_pending(&self) -> bool {
        self.config & Self::PENDING != 0
    }
}

impl Shmem {
    /// Returns the shared memory at an aligned address, if all of it is RAM of the host.
    pub fn new(address: usize) -> Option<Self> {
        // INVARIANT: The condition ensures it.
        platform::is_host_ram(address, SIZE).then_some(Self(address))
    }

    pub fn address(self) -> usize {
        self.0
    }

    fn read(self, offset: usize) -> u64 {
        // SAFETY: By the invariants, this is RAM that holds nothing of the firmware.
        unsafe { ((self.0 + offset) as *const u64).read_volatile() }
    }

    fn write(self, offset: usize, value: u64) {
        // SAFETY: As in `read()`.
        unsafe { ((self.0 + offset) as *mut u64).write_volatile(value) }
    }

    /// Returns a word by its number, if the number is not too large.
    pub fn word(self, number: u64) -> Option<u64> {
        let offset = usize::try_from(number).ok()?.checked_mul(WORD)?;
        (offset < SIZE).then(|| self.read(offset))
    }

    pub fn csr(self, csr: u16) -> u64 {
        self.read(CSRS + h_index(csr) * WORD)
    }

    pub fn set_csr(self, csr: u16, value: u64) {
        self.write(CSRS + h_index(csr) * WORD, value);
    }

    fn dirty_word(csr: u16) -> (usize, u64) {
        let index = h_index(csr);
        (DIRTY + index / 64 * WORD, 1 << (index % 64))
    }

    pub fn is_dirty(self, csr: u16) -> bool {
        let (offset, bit) = Self::dirty_word(csr);
        self.read(offset) & bit != 0
    }

    pub fn set_clean(self, csr: u16) {
        let (offset, bit) = Self::dirty_word(csr);
        self.write(offset, self.read(offset) & !bit);
    }

    pub fn hfence(self, index: usize) -> HfenceEntry {
        let offset = HFENCES + index * 4 * WORD;
        HfenceEntry {
            config: self.read(offset),
            page_number: self.read(offset + WORD),
            page_count: self.read(offset + 3 * WORD),
        }
    }

    pub fn set_hfence_done(self, index: usize) {
        let offset = HFENCES + index * 4 * WORD;
        self.write(offset, self.read(offset) & !HfenceEntry::PENDING);
    }

    /// Returns the value that SYNC_SRET loads to a general-purpose register.
    pub fn sret_register(self, x: usize) -> u64 {
        self.read(x * WORD)
    }

    /// Returns whether the host asks for `hstatus` to be swapped.
    pub fn swaps_hstatus(self) -> bool {
        self.read(AUTOSWAP) & 1 != 0
    }

    /// Exchanges `value` with the value of `hstatus` in the autoswap area.
    pub fn swap_hstatus(self, value: u64) -> u64 {
        let other = self.read(AUTOSWAP + WORD);
        self.write(AUTOSWAP + WORD, value);
        other
    }

    /// Writes `value` to all reserved words.
    pub fn scribble(self, value: u64) {
        self.write(0, value);
        for offset in (32 * WORD..AUTOSWAP).step_by(WORD) {
            self.write(offset, value);
        }
        for offset in (AUTOSWAP + 2 * WORD..HFENCES).step_by(WORD) {
            self.write(offset, value);
        }
        for index in 0..HFENCE_COUNT {
            self.write(HFENCES + (index * 4 + 2) * WORD, value);
        }
    }
}
