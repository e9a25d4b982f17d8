// SPDX-License-Identifier: GPL-2.0

//! Extensions of the host's harts that the backend itself uses.
//!
//! Each is a static key, set once when the module is loaded.

use kernel::{
    bindings,
    static_key::{
        static_key_enabled,
        StaticKey, //
    },
};

static SMSTATEEN: StaticKey = StaticKey::new();
static SSTC: StaticKey = StaticKey::new();
static ZICFISS: StaticKey = StaticKey::new();
static SSAIA: StaticKey = StaticKey::new();
static OVERFLOW_INTERRUPT: StaticKey = StaticKey::new();
static FPU_D: StaticKey = StaticKey::new();
static FPU_F: StaticKey = StaticKey::new();
static SVINVAL: StaticKey = StaticKey::new();
static SVPBMT: StaticKey = StaticKey::new();

/// Returns whether all harts of the host have an extension, `RISCV_ISA_EXT_*`.
pub(crate) fn host_has(ext: u32) -> bool {
    // SAFETY: A null pointer stands for the host. The function checks the number.
    unsafe { bindings::__riscv_isa_extension_available(core::ptr::null(), ext) }
}

/// Returns the number of a single-letter extension.
pub(crate) const fn letter(letter: u8) -> u32 {
    (letter - b'a') as u32
}

/// Enables the static keys of the extensions that all harts have.
pub(crate) fn init() {
    for (ext, key) in [
        (bindings::RISCV_ISA_EXT_SMSTATEEN, &SMSTATEEN),
        (bindings::RISCV_ISA_EXT_SSTC, &SSTC),
        (bindings::RISCV_ISA_EXT_SSAIA, &SSAIA),
        (bindings::RISCV_ISA_EXT_ZICFISS, &ZICFISS),
        (letter(b'd'), &FPU_D),
        (letter(b'f'), &FPU_F),
        (bindings::RISCV_ISA_EXT_SVINVAL, &SVINVAL),
    ] {
        if host_has(ext) {
            key.enable();
        }
    }
    if host_has(bindings::RISCV_ISA_EXT_SSCOFPMF) && host_has(bindings::RISCV_ISA_EXT_SSAIA) {
        OVERFLOW_INTERRUPT.enable();
    }
    let line = cache_block_size(bindings::RISCV_ISA_EXT_ZICBOM);
    if host_has(bindings::RISCV_ISA_EXT_SVPBMT) && line != 0 && line <= MAX_LINE {
        SVPBMT.enable();
    }
}

/// Returns whether `hstateen0` and `sstateen0` exist.
#[inline(always)]
pub(crate) fn smstateen() -> bool {
    static_key_enabled!(SMSTATEEN)
}

/// Returns whether `vstimecmp` exists.
#[inline(always)]
pub(crate) fn sstc() -> bool {
    static_key_enabled!(SSTC)
}

/// Returns whether the guest could reach CSRs of the AIA.
#[inline(always)]
pub(crate) fn ssaia() -> bool {
    static_key_enabled!(SSAIA)
}

/// Returns whether guests have an interrupt by the overflow of a counter: the host has it
/// (Sscofpmf), and a hart can give a guest one of its own (Ssaia).
#[inline(always)]
pub(crate) fn overflow_interrupt() -> bool {
    static_key_enabled!(OVERFLOW_INTERRUPT)
}

/// Returns whether `ssp` exists: user space has shadow stacks.
#[inline(always)]
pub(crate) fn zicfiss() -> bool {
    static_key_enabled!(ZICFISS)
}

/// Returns whether there are floating-point registers of 64 bits.
#[inline(always)]
pub(crate) fn fpu_d() -> bool {
    static_key_enabled!(FPU_D)
}

/// Returns whether there are floating-point registers.
#[inline(always)]
pub(crate) fn fpu_f() -> bool {
    static_key_enabled!(FPU_F)
}

/// Returns whether fences can be split into invalidations and their ordering (Svinval).
#[inline(always)]
pub(crate) fn svinval() -> bool {
    static_key_enabled!(SVINVAL)
}

/// Returns whether guests may choose the type of their memory (Svpbmt): the harts can, and the host
/// can write its caches back to memory (Zicbom), which it has to do before a guest gets a page.
#[inline(always)]
pub(crate) fn svpbmt() -> bool {
    static_key_enabled!(SVPBMT)
}

/// Returns whether leaves of page tables choose the type of memory (Svpbmt), those of the host and
/// of the G-stage alike. The harts of T-Head that have a format of their own do not count.
pub(crate) fn has_memory_types() -> bool {
    host_has(bindings::RISCV_ISA_EXT_SVPBMT)
}

/// The largest block, in bytes, that CBO.CLEAN may work on where guests have Svpbmt: a page has at
/// least 16.
const MAX_LINE: u64 = 256;

/// Returns the size of the blocks that CBO.CLEAN works on, in bytes: a power of two of at most
/// [`MAX_LINE`] if [`svpbmt`].
#[inline(always)]
pub(crate) fn svpbmt_line() -> u64 {
    // SAFETY: Written only at boot.
    u64::from(unsafe { bindings::riscv_cbom_block_size })
}

/// Returns the block size of an extension for cache-block operations, in bytes; 0 without it.
pub(crate) fn cache_block_size(ext: u32) -> u64 {
    if !host_has(ext) {
        return 0;
    }
    // SAFETY: Written only at boot.
    let size = unsafe {
        match ext {
            bindings::RISCV_ISA_EXT_ZICBOM => bindings::riscv_cbom_block_size,
            bindings::RISCV_ISA_EXT_ZICBOZ => bindings::riscv_cboz_block_size,
            bindings::RISCV_ISA_EXT_ZICBOP => bindings::riscv_cbop_block_size,
            _ => 0,
        }
    };
    u64::from(size)
}

/// Returns the widest translation scheme that the host uses, as the MODE field of `satp` encodes
/// it.
pub(crate) fn satp_mode() -> u64 {
    // SAFETY: Written only at boot.
    let satp = unsafe { bindings::satp_mode };
    satp >> 60
}

/// Returns whether the host's harts set A and D in page tables themselves, so that a guest may use
/// that.
pub(crate) fn hardware_updates_ad() -> bool {
    host_has(bindings::RISCV_ISA_EXT_SVADU)
}
