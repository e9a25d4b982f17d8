// SPDX-License-Identifier: GPL-2.0

//! The nested acceleration extension of the SBI: numbers, the layout of its shared memory, and the
//! encoding of what is put there.
//!
//! A hypervisor that is itself a guest shares three pages per hart with the one below. They hold
//! the values of the H-extension CSRs, a queue of HFENCE instructions, and the registers for the
//! next `sret`, so that much of what would trap is done with one call instead.
//!
//! All words in shared memory are little-endian. Offsets are in bytes from its start, for
//! XLEN = 64.
//!
//! Reference: RISC-V Supervisor Binary Interface Specification, version 3.0, chapter "Nested
//! Acceleration Extension".

use crate::abi::sbi::Standard;

/// The extension's number.
pub const EID: u64 = Standard::Nacl.raw();

/// The functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum NaclFn {
    /// `sbi_nacl_probe_feature`: ask for a [`Feature`].
    ProbeFeature = 0,
    /// `sbi_nacl_set_shmem`: set or take back the shared memory of this hart.
    SetShmem = 1,
    /// `sbi_nacl_sync_csr`: write dirty CSRs and read them back.
    SyncCsr = 2,
    /// `sbi_nacl_sync_hfence`: do the fences that are pending.
    SyncHfence = 3,
    /// `sbi_nacl_sync_sret`: all of that, then load the registers and return to the guest.
    SyncSret = 4,
}

/// The argument of [`NaclFn::SyncCsr`] and [`NaclFn::SyncHfence`] that means all of them.
pub const SYNC_ALL: u64 = u64::MAX;

/// The features, each there or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Feature {
    /// [`NaclFn::SyncCsr`], and with it the dirty bitmap.
    SyncCsr = 0,
    /// [`NaclFn::SyncHfence`], and with it the queue of fences.
    SyncHfence = 1,
    /// [`NaclFn::SyncSret`], and with it the SRET context.
    SyncSret = 2,
    /// The autoswap context.
    AutoswapCsr = 3,
}

/// The size of the shared memory.
pub const SHMEM_SIZE: usize = CSR_SPACE + CSR_COUNT * WORD;
/// The alignment of the shared memory.
pub const SHMEM_ALIGN: usize = 0x1000;

/// The size of a word.
const WORD: usize = 8;

/// Where the SRET context is.
pub const SRET_CONTEXT: usize = 0x0000;
/// The size of the SRET context.
pub const SRET_CONTEXT_SIZE: usize = 0x0200;

/// Returns the offset of the value that [`NaclFn::SyncSret`] loads into `x1..=x31`, by the number
/// of the register. The word for `x0` is reserved and must be zero.
#[inline]
pub const fn sret_x(x: usize) -> usize {
    SRET_CONTEXT + (x & 0x1f) * WORD
}

/// Where the autoswap context is.
pub const AUTOSWAP: usize = 0x0200;
/// The size of the autoswap context.
pub const AUTOSWAP_SIZE: usize = 0x0080;
/// Where the flags of the autoswap context are.
pub const AUTOSWAP_FLAGS: usize = AUTOSWAP;
/// Where the value to be swapped with `hstatus` is.
pub const AUTOSWAP_HSTATUS: usize = AUTOSWAP + WORD;
/// The flag that has `hstatus` swapped.
pub const AUTOSWAP_FLAG_HSTATUS: u64 = 1 << 0;

/// Where the queue of fences is.
pub const HFENCE_QUEUE: usize = 0x0800;
/// How many fences it holds.
pub const HFENCE_COUNT: usize = 60;
/// The size of one.
const HFENCE_ENTRY_SIZE: usize = 4 * WORD;

/// Where the bitmap of CSRs to be written is: one bit for each word of the CSR space.
pub const DIRTY_BITMAP: usize = 0x0f80;
/// The size of the bitmap.
pub const DIRTY_BITMAP_SIZE: usize = CSR_COUNT / 8;

/// Where the values of the CSRs are.
pub const CSR_SPACE: usize = 0x1000;
/// How many there are.
pub const CSR_COUNT: usize = 1024;

/// Returns the index of a CSR in the CSR space, which is below [`CSR_COUNT`].
///
/// Bits 9:8 of the number do not take part: they are the same in all H-extension CSRs. The result
/// means nothing for another CSR, see [`CsrSlot::new`].
#[inline]
pub const fn csr_index(csr: u16) -> usize {
    (((csr & 0xc00) >> 2) | (csr & 0xff)) as usize
}

/// The place of an H-extension CSR in shared memory.
///
/// # Invariants
///
/// The index is below [`CSR_COUNT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CsrSlot(u16);

impl CsrSlot {
    /// Returns the place of the CSR with this number, or [`None`] if it has none because it does
    /// not belong to the H extension.
    #[inline]
    pub const fn new(csr: u16) -> Option<Self> {
        if csr & !0xcff != 0x200 {
            return None;
        }
        // INVARIANT: ten bits of the number are left.
        Some(Self(csr_index(csr) as u16))
    }

    /// Returns where the value is.
    #[inline]
    pub const fn offset(self) -> usize {
        CSR_SPACE + self.0 as usize * WORD
    }

    /// Returns where the byte of the bitmap is that has the CSR's bit.
    #[inline]
    pub const fn dirty_byte(self) -> usize {
        DIRTY_BITMAP + (self.0 >> 3) as usize
    }

    /// Returns the CSR's bit in that byte.
    #[inline]
    pub const fn dirty_mask(self) -> u8 {
        1 << (self.0 & 0x7)
    }
}

/// The place of a fence in shared memory.
///
/// A fence is queued in a place whose [`HfenceSlot::config`] has no [`HFENCE_PENDING`]. The other
/// words are written first, and that one last.
///
/// # Invariants
///
/// The index is below [`HFENCE_COUNT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HfenceSlot(u8);

impl HfenceSlot {
    /// Returns the place with this index, or [`None`] if there are not so many.
    #[inline]
    pub const fn new(index: usize) -> Option<Self> {
        if index < HFENCE_COUNT {
            // INVARIANT: by the condition.
            Some(Self(index as u8))
        } else {
            None
        }
    }

    #[inline]
    const fn word(self, number: usize) -> usize {
        HFENCE_QUEUE + self.0 as usize * HFENCE_ENTRY_SIZE + number * WORD
    }

    /// Returns where the config word is.
    #[inline]
    pub const fn config(self) -> usize {
        self.word(0)
    }

    /// Returns where the number of the first page is.
    #[inline]
    pub const fn page_number(self) -> usize {
        self.word(1)
    }

    /// Returns where the number of pages is. The word before it is reserved and must be zero.
    #[inline]
    pub const fn page_count(self) -> usize {
        self.word(3)
    }
}

/// The bit of a config word that says that the fence is still to be done.
pub const HFENCE_PENDING: u64 = 1 << 63;

const HFENCE_TYPE_SHIFT: u32 = 56;
const HFENCE_ORDER_SHIFT: u32 = 48;
const HFENCE_VMID_SHIFT: u32 = 16;
const HFENCE_VMID_MAX: u16 = (1 << 14) - 1;

/// The order of the smallest page.
const PAGE_ORDER: u32 = 12;

/// Some pages, all of one size.
///
/// # Invariants
///
/// There is at least one, and their size is a power of two from `1 << 12` to `1 << 63`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRange {
    number: u64,
    count: u64,
    /// The order of a page less [`PAGE_ORDER`], as the config word has it.
    order: u64,
}

impl PageRange {
    /// Returns the pages of `1 << order` bytes that cover `size` bytes from `addr` on.
    ///
    /// Neither has to be aligned: a page that is covered in part counts whole, as a fence may do
    /// too much but not too little.
    #[inline]
    pub const fn new(addr: u64, size: u64, order: u32) -> Result<Self, HfenceError> {
        if order < PAGE_ORDER || order > 63 {
            return Err(HfenceError::Order);
        }
        if size == 0 {
            return Err(HfenceError::Empty);
        }
        let Some(last) = addr.checked_add(size - 1) else {
            return Err(HfenceError::Overflow);
        };

        let number = addr >> order;
        // INVARIANT: `last` is not below `addr`, so there is one page at least. For the same reason
        // nothing wraps, but that is more than the compiler sees.
        Ok(Self {
            number,
            count: (last >> order).wrapping_sub(number).wrapping_add(1),
            order: (order - PAGE_ORDER) as u64,
        })
    }
}

/// What a fence invalidates ("Nested HFENCE entry types").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hfence {
    /// Guest physical addresses, of all VMIDs.
    Gvma(PageRange),
    /// All guest physical addresses, of all VMIDs.
    GvmaAll,
    /// Guest physical addresses, of one VMID.
    GvmaVmid(PageRange, u16),
    /// All guest physical addresses, of one VMID.
    GvmaVmidAll(u16),
    /// Guest virtual addresses, of one VMID.
    Vvma(PageRange, u16),
    /// All guest virtual addresses, of one VMID.
    VvmaAll(u16),
    /// Guest virtual addresses, of one VMID and one ASID, in this order.
    VvmaAsid(PageRange, u16, u16),
    /// All guest virtual addresses, of one VMID and one ASID, in this order.
    VvmaAsidAll(u16, u16),
}

/// Why a fence cannot be queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HfenceError {
    /// No page has this size.
    Order,
    /// There is nothing to fence.
    Empty,
    /// The addresses leave the address space.
    Overflow,
    /// The VMID is more than 14 bits wide.
    Vmid,
}

/// A fence as it is put in a [`HfenceSlot`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HfenceEntry {
    /// The config word, with [`HFENCE_PENDING`].
    pub config: u64,
    /// The number of the first page.
    pub page_number: u64,
    /// The number of pages.
    pub page_count: u64,
}

impl HfenceEntry {
    /// Encodes a fence.
    ///
    /// Fields that do not matter to the type are zero, as the specification demands.
    #[inline]
    pub const fn new(fence: Hfence) -> Result<Self, HfenceError> {
        let (kind, pages, vmid, asid) = match fence {
            Hfence::Gvma(pages) => (0, Some(pages), 0, 0),
            Hfence::GvmaAll => (1, None, 0, 0),
            Hfence::GvmaVmid(pages, vmid) => (2, Some(pages), vmid, 0),
            Hfence::GvmaVmidAll(vmid) => (3, None, vmid, 0),
            Hfence::Vvma(pages, vmid) => (4, Some(pages), vmid, 0),
            Hfence::VvmaAll(vmid) => (5, None, vmid, 0),
            Hfence::VvmaAsid(pages, vmid, asid) => (6, Some(pages), vmid, asid),
            Hfence::VvmaAsidAll(vmid, asid) => (7, None, vmid, asid),
        };
        if vmid > HFENCE_VMID_MAX {
            return Err(HfenceError::Vmid);
        }

        let (page_number, page_count, order) = match pages {
            Some(pages) => (pages.number, pages.count, pages.order),
            None => (0, 0, 0),
        };

        Ok(Self {
            config: HFENCE_PENDING
                | kind << HFENCE_TYPE_SHIFT
                | order << HFENCE_ORDER_SHIFT
                | (vmid as u64) << HFENCE_VMID_SHIFT
                | asid as u64,
            page_number,
            page_count,
        })
    }
}
