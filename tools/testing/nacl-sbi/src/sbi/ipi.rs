// SPDX-License-Identifier: GPL-2.0

//! The extension "IPI".

use super::call::{done, Call};
use crate::harts::remote;
use rustsbi::{HartMask, Ipi, SbiRet};

impl Ipi for Call<'_> {
    fn send_ipi(&self, harts: HartMask) -> SbiRet {
        done(remote::interrupt(harts))
    }
}
