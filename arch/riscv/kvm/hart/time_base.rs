// SPDX-License-Identifier: GPL-2.0

//! The rate at which the `time` CSR counts.

use kernel::bindings;

/// The frequency of the `time` CSR, and its conversion to nanoseconds.
#[derive(Clone, Copy)]
pub(crate) struct TimeBase {
    /// The frequency in Hz.
    pub(crate) frequency: u64,
    mult: u32,
    shift: u32,
}

impl TimeBase {
    /// Returns the host's time base.
    pub(crate) fn of_host() -> Self {
        let (mut mult, mut shift) = (0, 0);
        // SAFETY: The pointers are valid; the frequency is written only at boot.
        let frequency = unsafe {
            bindings::riscv_cs_get_mult_shift(&mut mult, &mut shift);
            bindings::riscv_timebase
        };
        Self {
            frequency: frequency as u64,
            mult,
            shift,
        }
    }

    /// Converts ticks to nanoseconds. A duration beyond 64 bits becomes [`u64::MAX`].
    #[inline]
    pub(crate) fn to_ns(self, ticks: u64) -> u64 {
        let ns = (u128::from(ticks) * u128::from(self.mult)) >> self.shift;
        u64::try_from(ns).unwrap_or(u64::MAX)
    }
}
