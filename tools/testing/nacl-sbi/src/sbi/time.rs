// SPDX-License-Identifier: GPL-2.0

//! The extension "Timer".

use super::call::Call;
use crate::{
    host::interrupts,
    machine::{
        csr,
        irq::{self, VSTIP},
        platform,
    },
};
use rustsbi::Timer;

impl Timer for Call<'_> {
    fn set_timer(&self, time: u64) {
        let hart = &mut self.hart.borrow_mut();
        if platform::has_csr(csr::VSTIMECMP) {
            return csr::write(csr::VSTIMECMP, time);
        }
        interrupts::set(hart, VSTIP, false);
        platform::get().set_mtimecmp(hart.id, time);
        csr::set_mie(1 << irq::MACHINE_TIMER);
    }
}
