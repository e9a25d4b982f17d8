// SPDX-License-Identifier: GPL-2.0

//! The shared memory, with a layout that is written independently of the firmware's.

use sbi_rt::{nacl_set_shmem, SbiRet, SharedPtr};

/// An argument that means all CSRs or fences, or, as an address, no shared memory.
pub const ALL: usize = usize::MAX;

// Words of the shared memory.
pub const AUTOSWAP_FLAGS: usize = 0x200 / 8;
pub const AUTOSWAP_HSTATUS: usize = 0x208 / 8;
const HFENCES: usize = 0x800 / 8;
const DIRTY: usize = 0xf80 / 8;
const CSRS: usize = 0x1000 / 8;
const WORDS: usize = 0x3000 / 8;
const PENDING: u64 = 1 << 63;

#[repr(C, align(4096))]
struct Memory([u64; WORDS]);

static mut FIRST: Memory = Memory([0; WORDS]);
static mut SECOND: Memory = Memory([0; WORDS]);

/// One of the two memories that the checks share with the firmware.
#[derive(Clone, Copy)]
pub struct Shmem(*mut u64);

impl Shmem {
    pub fn first() -> Self {
        Self((&raw mut FIRST).cast())
    }

    pub fn second() -> Self {
        Self((&raw mut SECOND).cast())
    }

    pub fn address(self) -> usize {
        self.0 as usize
    }

    /// Makes this the hart's shared memory.
    pub fn set(self) -> SbiRet {
        nacl_set_shmem(SharedPtr::new(self.0 as usize, 0), 0)
    }

    pub fn read(self, word: usize) -> u64 {
        // SAFETY: The pointer is to one of the two memories, and `word` is within it.
        unsafe { self.0.add(word).read_volatile() }
    }

    pub fn write(self, word: usize, value: u64) {
        // SAFETY: As in `read()`.
        unsafe { self.0.add(word).write_volatile(value) }
    }

    fn index(csr: usize) -> usize {
        (csr & 0xc00) >> 2 | csr & 0xff
    }

    pub fn csr(self, csr: usize) -> u64 {
        self.read(CSRS + Self::index(csr))
    }

    pub fn is_dirty(self, csr: usize) -> bool {
        let i = Self::index(csr);
        self.read(DIRTY + i / 64) >> (i % 64) & 1 != 0
    }

    /// Writes a CSR, and marks it dirty.
    pub fn write_csr(self, csr: usize, value: u64) {
        let i = Self::index(csr);
        self.write(CSRS + i, value);
        self.write(DIRTY + i / 64, self.read(DIRTY + i / 64) | 1 << (i % 64));
    }

    /// Queues a fence of this type.
    pub fn queue(self, entry: usize, kind: u64) {
        let words = HFENCES + 4 * entry;
        self.write(words + 1, 0x80200);
        self.write(words + 3, 3);
        self.write(words, PENDING | kind << 56 | 5 << 16 | 7);
    }

    /// Marks all CSRs clean and all fences done.
    pub fn clean(self) {
        for word in DIRTY..CSRS {
            self.write(word, 0);
        }
        for entry in 0..60 {
            self.write(HFENCES + 4 * entry, 0);
        }
    }

    pub fn is_pending(self, entry: usize) -> bool {
        self.read(HFENCES + 4 * entry) & PENDING != 0
    }
}

/// Takes the shared memory from the firmware.
pub fn disable() -> SbiRet {
    nacl_set_shmem(SharedPtr::new(ALL, ALL), 0)
}
