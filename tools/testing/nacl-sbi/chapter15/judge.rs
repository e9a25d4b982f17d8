// SPDX-License-Identifier: GPL-2.0

//! The count of checks.

use crate::console::print;
use sbi_rt::SbiRet;

/// Counts checks, and prints those that fail.
pub struct Judge {
    pub checked: usize,
    pub wrong: usize,
}

impl Judge {
    /// Counts a check, which fails unless `is_right`.
    pub fn check(&mut self, what: &str, is_right: bool) {
        self.checked += 1;
        if !is_right {
            self.wrong += 1;
            print(format_args!("chapter15: wrong: {what}\n"));
        }
    }

    /// Checks the result of a call.
    pub fn gives(&mut self, what: &str, ret: SbiRet, expected: SbiRet) {
        self.check(what, ret == expected);
        if ret != expected {
            print(format_args!("    {ret:?}, not {expected:?}\n"));
        }
    }
}
