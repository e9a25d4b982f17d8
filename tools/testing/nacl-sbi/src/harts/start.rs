// SPDX-License-Identifier: GPL-2.0

//! Harts that wait to be started.

use super::{remote, state};
use crate::{
    hart::Hart,
    host,
    machine::{csr, frame::Frame, irq},
    testing::counters::{self, Event},
};

/// Waits until another hart starts this one. Returns the registers to start with.
pub fn wait(hart: usize) -> Frame {
    csr::clear_mie(u64::MAX);
    csr::set_mie(1 << irq::MACHINE_SOFTWARE);
    loop {
        remote::receive_stopped(hart);
        if let Some((pc, opaque)) = state::take_start(hart) {
            return Frame::starting(pc, hart as u64, opaque);
        }
        riscv::asm::wfi();
    }
}

/// Stops this hart until another one starts it.
pub fn stop(hart: &mut Hart) -> Frame {
    if hart.shmem.is_some() {
        counters::count(Event::StoppedWithShmem);
        counters::note_shmem(hart.id, 0);
    }
    state::set_stopped(hart.id);
    let frame = wait(hart.id);
    host::reset::reset(hart);
    frame
}
