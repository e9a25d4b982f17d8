// SPDX-License-Identifier: GPL-2.0

//! The values that the CSRs of a guest can hold. Depends on `core` alone.
//!
//! When the guest writes a CSR, the hart leaves a legal value there. User space may give any value
//! for it by one-reg. A hart that is given an illegal one may keep what it has, which is the value
//! of another guest; and bits that no guest has may act on the host. So a value is made legal here
//! before it can reach a hart.
//!
//! `senvcfg` stands in [`envcfg`](super::envcfg), with `henvcfg`. The fields are those of the
//! privileged specification, chapter "Supervisor-Level ISA". WARL and WLRL are defined in its
//! section "CSR Field Specifications".

use super::one_reg::IsaExtId;

/// What the harts support of `vsatp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SatpSupport {
    /// The values of MODE besides 0, Bare: one bit for each.
    pub modes: u16,
    /// The number of bits of ASID.
    pub asid_bits: u32,
}

/// The fields of `satp`.
pub mod satp {
    /// The lowest bit of MODE, which is the highest field.
    pub const MODE_SHIFT: u32 = 60;
    /// The lowest bit of ASID.
    pub const ASID_SHIFT: u32 = 44;
    /// The number of bits that ASID can have.
    pub const ASID_BITS_MAX: u32 = 16;
    /// The frame of the root.
    pub const PPN: u64 = (1 << ASID_SHIFT) - 1;
    /// The MODE of the narrowest scheme, Sv39. Those of Sv48 and Sv57 follow.
    pub const SV39: u64 = 8;
    /// The MODE of the widest scheme.
    pub const SV57: u64 = 10;
}

/// Returns the value of `satp` after a write of `value` to `old`.
///
/// A MODE that the harts do not have leaves the register as it is ("Supervisor Address Translation
/// and Protection Register"). With Bare, the other fields are zero.
pub const fn satp(old: u64, value: u64, support: SatpSupport) -> u64 {
    let mode = value >> satp::MODE_SHIFT;
    if mode == 0 {
        return 0;
    }
    if support.modes & (1 << mode) == 0 {
        return old;
    }
    let bits = if support.asid_bits < satp::ASID_BITS_MAX {
        support.asid_bits
    } else {
        satp::ASID_BITS_MAX
    };
    let asid = ((1 << bits) - 1) << satp::ASID_SHIFT;
    value & (mode << satp::MODE_SHIFT | asid | satp::PPN)
}

/// The value of `sstatus` after a reset: U-mode has 64 bits (UXL).
pub const SSTATUS_RESET: u64 = 2 << 32;

/// Returns the value of `sstatus` after a write of `value`.
///
/// Guests are little-endian and have 64 bits in U-mode, so UBE and UXL cannot be written. SPELP
/// belongs to Zicfilp, of which `has` tells whether the guest has it, and SDT to an extension that
/// guests do not have.
pub fn sstatus(value: u64, has: impl Fn(IsaExtId) -> bool) -> u64 {
    const SIE: u64 = 1 << 1;
    const SPIE: u64 = 1 << 5;
    const SPP: u64 = 1 << 8;
    const VS: u64 = 3 << 9;
    const FS: u64 = 3 << 13;
    const SUM: u64 = 1 << 18;
    const MXR: u64 = 1 << 19;
    const SPELP: u64 = 1 << 23;
    const SD: u64 = 1 << 63;

    let dirty = value & VS == VS || value & FS == FS;
    let mut fields = SIE | SPIE | SPP | VS | FS | SUM | MXR;
    if has(IsaExtId::Zicfilp) {
        fields |= SPELP;
    }
    value & fields | SSTATUS_RESET | if dirty { SD } else { 0 }
}

/// Returns the value of `sie` after a write of `value`, or the interrupts that user space makes
/// pending by `sip`. `has` tells whether the guest has an extension.
pub fn interrupts(value: u64, has: impl Fn(IsaExtId) -> bool) -> u64 {
    const SOFTWARE: u64 = 1 << 1;
    const TIMER: u64 = 1 << 5;
    const EXTERNAL: u64 = 1 << 9;
    const COUNTER_OVERFLOW: u64 = 1 << 13;

    let mut interrupts = SOFTWARE | TIMER | EXTERNAL;
    if has(IsaExtId::Sscofpmf) {
        interrupts |= COUNTER_OVERFLOW;
    }
    value & interrupts
}

/// Returns the value of `stvec` after a write of `value` to `old`. A reserved MODE leaves the
/// register as it is.
pub const fn stvec(old: u64, value: u64) -> u64 {
    const MODE_RESERVED: u64 = 1 << 1;

    if value & MODE_RESERVED != 0 {
        old
    } else {
        value
    }
}

/// Returns whether every hart holds this legal value of `stvec`: its MODE is Direct, and its base
/// is an address in Sv39, the smallest translation scheme of RV64.
///
/// BASE need not hold more than the virtual and physical addresses that a hart has, and other modes
/// may want a stricter alignment. The hart may ignore a write of another base.
pub const fn stvec_always_fits(value: u64) -> bool {
    const MODE: u64 = 3;
    const UNUSED: u32 = 64 - 39;

    value & MODE == 0 && ((value << UNUSED) as i64 >> UNUSED) as u64 == value
}

/// Returns the value of `sepc` after a write of `value`. Instructions lie at even addresses.
pub const fn sepc(value: u64) -> u64 {
    value & !1
}

/// Returns the value of `scause` after a write of `value`: codes below 64 are assigned.
pub const fn scause(value: u64) -> u64 {
    const INTERRUPT: u64 = 1 << 63;
    const CODES: u64 = 63;

    value & (INTERRUPT | CODES)
}

/// Returns the value of `scounteren`, a register of 32 bits, after a write of `value`.
pub const fn scounteren(value: u64) -> u64 {
    value & u32::MAX as u64
}

/// Returns the value of `sstateen0` after a write of `value`, for a guest with `hstateen0`.
///
/// A bit that is zero in `hstateen0` is read-only zero in `sstateen0` ("Smstateen Extension").
pub const fn sstateen0(value: u64, hstateen0: u64) -> u64 {
    value & hstateen0 & u32::MAX as u64
}

/// Returns the value of `ssp` after a write of `value`: shadow stacks are aligned to 8 bytes
/// (Zicfiss, "Shadow-Stack Pointer").
pub const fn ssp(value: u64) -> u64 {
    value & !7
}
