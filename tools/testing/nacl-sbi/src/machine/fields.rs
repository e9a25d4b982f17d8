// SPDX-License-Identifier: GPL-2.0

//! Fields of CSRs that the hart and the host's H CSRs have in common.

#![deny(unsafe_code)]

/// Fields of `hstatus`.
pub mod hstatus {
    pub const GVA: u64 = 1 << 6;
    pub const SPV: u64 = 1 << 7;
    pub const SPVP: u64 = 1 << 8;
    pub const VTSR: u64 = 1 << 22;
}

/// Fields of `sstatus`.
pub mod sstatus {
    pub const SIE: u64 = 1 << 1;
    pub const SPIE: u64 = 1 << 5;
    pub const SPP_SHIFT: u32 = 8;
}

/// Fields of `menvcfg` and `henvcfg`.
pub mod envcfg {
    /// CBIE, CBCFE and CBZE: cache-block operations are permitted.
    pub const CACHE_BLOCKS: u64 = 0b1111 << 4;
    pub const ADUE: u64 = 1 << 61;
    pub const PBMTE: u64 = 1 << 62;
    pub const STCE: u64 = 1 << 63;
}

/// Fields of `mseccfg`.
pub mod mseccfg {
    /// S-mode may read the entropy source.
    pub const SSEED: u64 = 1 << 9;
}

/// Returns the VMID in a value of `hgatp`.
pub fn vmid(hgatp: u64) -> u64 {
    hgatp >> 44 & 0x3fff
}
