// SPDX-License-Identifier: GPL-2.0

//! `henvcfg`: which features of the hart a guest may use by itself.
//!
//! References: RISC-V Instruction Set Manual, volume II, "Hypervisor Environment Configuration
//! Register (`henvcfg`)"; volume I, "CMO" extensions.

use super::one_reg::IsaExtId;

/// A value of `henvcfg`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Henvcfg(u64);

impl Henvcfg {
    /// `CBIE`: `cbo.inval` is allowed, and flushes the block, that is, writes it back first.
    ///
    /// If it invalidated the block, the guest could discard what others have written there and no
    /// cache has written back: the zeros by which the host has cleared the page, whose former
    /// contents the guest would read then, or a page that the guest may only read. A guest cannot
    /// tell the two apart, because a cache may write a block back at any time.
    const CBIE_FLUSH: u64 = 1 << 4;
    /// `CBCFE`: `cbo.clean` and `cbo.flush` are allowed.
    const CBCFE: u64 = 1 << 6;
    /// `CBZE`: `cbo.zero` is allowed.
    const CBZE: u64 = 1 << 7;
    /// `ADUE`: the hart updates A and D of VS-stage entries.
    const ADUE: u64 = 1 << 61;
    /// `PBMTE`: VS-stage entries choose the type of memory (Svpbmt).
    const PBMTE: u64 = 1 << 62;
    /// `STCE`: VS-mode has Sstc.
    const STCE: u64 = 1 << 63;

    /// Returns the value for a guest, of which `has` tells whether it has an extension.
    pub fn of(has: impl Fn(IsaExtId) -> bool) -> Self {
        let bits = |on, bits| if on { bits } else { 0 };

        Self(
            bits(has(IsaExtId::Zicbom), Self::CBIE_FLUSH | Self::CBCFE)
                | bits(has(IsaExtId::Zicboz), Self::CBZE)
                | bits(has(IsaExtId::Svpbmt), Self::PBMTE)
                | bits(has(IsaExtId::Sstc), Self::STCE)
                // With both, software updates A and D, as Svade says.
                | bits(has(IsaExtId::Svadu) && !has(IsaExtId::Svade), Self::ADUE),
        )
    }

    /// Returns the bits of the register.
    #[inline]
    pub const fn into_raw(self) -> u64 {
        self.0
    }
}
