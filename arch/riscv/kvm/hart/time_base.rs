// SPDX-License-Identifier: GPL-2.0

//! The rate at which the `time` CSR counts.

use kernel::bindings;

/// Ticks of the `time` CSR in a second, and how to turn them into nanoseconds.
#[derive(Clone, Copy)]
pub(crate) struct TimeBase {
    /// Ticks in a second.
    pub(crate) frequency: u64,
    mult: u32,
    shift: u32,
}

impl TimeBase {
    /// Asks the host.
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

    /// Returns how many nanoseconds so many ticks are; as many as there can be if they are more.
    #[inline]
    pub(crate) fn to_ns(self, ticks: u64) -> u64 {
        let ns = (u128::from(ticks) * u128::from(self.mult)) >> self.shift;
        u64::try_from(ns).unwrap_or(u64::MAX)
    }
}
