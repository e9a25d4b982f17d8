// SPDX-License-Identifier: GPL-2.0

//! The features of nested acceleration.

use sbi_rt::nacl_probe_feature;

pub const SYNC_CSR: usize = 0;
pub const SYNC_HFENCE: usize = 1;
pub const SYNC_SRET: usize = 2;
pub const AUTOSWAP_CSR: usize = 3;

/// Returns whether the firmware offers a feature.
pub fn has(feature: usize) -> bool {
    nacl_probe_feature(feature as u32).value == 1
}
