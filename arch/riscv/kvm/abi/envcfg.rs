// SPDX-License-Identifier: GPL-2.0

//! `henvcfg` and `senvcfg`: which features of the hart a guest, and its user mode, may use by
//! themselves. Fields with one name have the same bits in both.
//!
//! References: RISC-V Instruction Set Manual, volume II, "Hypervisor Environment Configuration
//! Register (`henvcfg`)" and "Supervisor Environment Configuration Register (`senvcfg`)"; volume I,
//! "CMO" extensions.

use super::{
    fwft::Fwft,
    one_reg::{
        FwftFeature,
        IsaExtId, //
    }, //
};

/// `LPE`: indirect branches must lead to landing pads (Zicfilp).
const LPE: u64 = 1 << 2;
/// `SSE`: there are shadow stacks (Zicfiss).
const SSE: u64 = 1 << 3;

/// `CBIE`: how `cbo.inval` acts.
const CBIE: u64 = 3 << 4;
/// The value of `CBIE` by which `cbo.inval` flushes the block, that is, writes it back first.
const CBIE_FLUSH: u64 = 1 << 4;
/// The value of `CBIE` that is reserved.
const CBIE_RESERVED: u64 = 2 << 4;
/// `CBCFE`: `cbo.clean` and `cbo.flush` are allowed.
const CBCFE: u64 = 1 << 6;
/// `CBZE`: `cbo.zero` is allowed.
const CBZE: u64 = 1 << 7;

/// `PMM`: how many of the upper bits of a pointer are ignored.
pub const PMM: u64 = 3 << 32;
/// The value of `PMM` that is reserved.
const PMM_RESERVED: u64 = 1 << 32;
/// The value of `PMM` by which 7 bits are ignored.
const PMM_7: u64 = 2 << 32;
/// The value of `PMM` by which 16 bits are ignored.
const PMM_16: u64 = 3 << 32;

/// A value of `henvcfg`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Henvcfg(u64);

impl Henvcfg {
    /// `ADUE`: the hart updates A and D of VS-stage entries.
    const ADUE: u64 = 1 << 61;
    /// `PBMTE`: VS-stage entries choose the type of memory (Svpbmt).
    const PBMTE: u64 = 1 << 62;
    /// `STCE`: VS-mode has Sstc.
    const STCE: u64 = 1 << 63;

    /// Returns the value for a guest, of which `has` tells whether it has an extension, and whose
    /// kernel has set `features`.
    ///
    /// `cbo.inval` flushes. If it invalidated the block, the guest could discard what others have
    /// written there and no cache has written back: the zeros by which the host has cleared the
    /// page, whose former contents the guest would read then, or a page that the guest may only
    /// read. A guest cannot tell the two apart, because a cache may write a block back at any time.
    pub fn of(features: &Fwft, has: impl Fn(IsaExtId) -> bool) -> Self {
        let bits = |on, bits| if on { bits } else { 0 };
        let pmm = Self::masking(features.value(FwftFeature::PointerMasking));
        // With Svade alone, software updates A and D, and with Svadu alone the hart. A guest with
        // both can choose.
        let adue = has(IsaExtId::Svadu)
            && (!has(IsaExtId::Svade) || features.is_on(FwftFeature::PteAdHwUpdating));

        Self(
            bits(has(IsaExtId::Zicbom), CBIE_FLUSH | CBCFE)
                | bits(has(IsaExtId::Zicboz), CBZE)
                | bits(has(IsaExtId::Svpbmt), Self::PBMTE)
                | bits(has(IsaExtId::Sstc), Self::STCE)
                | bits(adue, Self::ADUE)
                | bits(has(IsaExtId::Smnpm), pmm.0)
                | bits(
                    has(IsaExtId::Zicfilp) && features.is_on(FwftFeature::LandingPad),
                    LPE,
                )
                | bits(
                    has(IsaExtId::Zicfiss) && features.is_on(FwftFeature::ShadowStack),
                    SSE,
                ),
        )
    }

    /// Returns the value by which so many bits of a pointer are ignored, and nothing else is
    /// enabled; 0 if there is none.
    pub const fn masking(bits: u64) -> Self {
        Self(match bits {
            7 => PMM_7,
            16 => PMM_16,
            _ => 0,
        })
    }

    /// Returns whether the guest can cause software-check exceptions.
    pub const fn checks_software(self) -> bool {
        self.0 & (LPE | SSE) != 0
    }

    /// Returns the bits of the register.
    #[inline]
    pub const fn into_raw(self) -> u64 {
        self.0
    }
}

/// Returns the value of `senvcfg` after a write of `value` by a guest, of which `has` tells whether
/// it has an extension. A reserved value of a field counts as zero.
pub fn senvcfg(value: u64, has: impl Fn(IsaExtId) -> bool) -> u64 {
    const FIOM: u64 = 1;

    let mut fields = FIOM;
    if has(IsaExtId::Zicbom) {
        fields |= CBCFE;
        if value & CBIE != CBIE_RESERVED {
            fields |= CBIE;
        }
    }
    if has(IsaExtId::Zicboz) {
        fields |= CBZE;
    }
    if has(IsaExtId::Zicfilp) {
        fields |= LPE;
    }
    if has(IsaExtId::Zicfiss) {
        fields |= SSE;
    }
    if has(IsaExtId::Ssnpm) && value & PMM != PMM_RESERVED {
        fields |= PMM;
    }
    value & fields
}
