// SPDX-License-Identifier: GPL-2.0

//! Harts that are started and stopped (SBI specification, chapter "Hart State Management").

#![deny(unsafe_code)]

use crate::{
    boot,
    hart::Hart,
    harts::remote,
    machine::{
        csr,
        entry::{Frame, MAX_HARTS},
        platform,
    },
    sbi::Call,
    testing::counters::{self, Event},
    trap::irq,
};
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering::*};
use rustsbi::{Hsm, SbiRet};
use sbi_spec::hsm::{hart_state, suspend_type};

static STATES: [AtomicUsize; MAX_HARTS] =
    [const { AtomicUsize::new(hart_state::STOPPED) }; MAX_HARTS];
/// Where a hart is to start, and with what.
static STARTS: [(AtomicU64, AtomicU64); MAX_HARTS] =
    [const { (AtomicU64::new(0), AtomicU64::new(0)) }; MAX_HARTS];

/// Returns whether a hart takes part.
pub fn is_running(hart: usize) -> bool {
    STATES[hart].load(Acquire) != hart_state::STOPPED
}

/// Has a hart, which is stopped, start. Returns whether it was stopped.
pub fn start(hart: usize, pc: u64, opaque: u64) -> bool {
    if STATES[hart]
        .compare_exchange(
            hart_state::STOPPED,
            hart_state::START_PENDING,
            AcqRel,
            Acquire,
        )
        .is_err()
    {
        return false;
    }
    STARTS[hart].1.store(opaque, Relaxed);
    // Zero until it is set, which comes last, and no host starts there.
    STARTS[hart].0.store(pc, Release);
    platform::get().set_msip(hart, true);
    true
}

/// Waits for somebody to start this hart, and returns with what it starts.
pub fn wait_for_start(hart: usize) -> Frame {
    csr::clear_mie(u64::MAX);
    csr::set_mie(1 << irq::MACHINE_SOFTWARE);
    loop {
        remote::receive_stopped(hart);
        let pc = STARTS[hart].0.load(Acquire);
        if STATES[hart].load(Acquire) == hart_state::START_PENDING && pc != 0 {
            let opaque = STARTS[hart].1.load(Relaxed);
            STARTS[hart].0.store(0, Relaxed);
            STATES[hart].store(hart_state::STARTED, Release);
            return Frame::starting(pc, hart as u64, opaque);
        }
        riscv::asm::wfi();
    }
}

/// Stops this hart until somebody starts it.
fn stop(hart: &mut Hart) -> Frame {
    if hart.shmem.is_some() {
        counters::count(Event::StoppedWithShmem);
        counters::note_shmem(hart.id, 0);
    }
    STATES[hart.id].store(hart_state::STOPPED, Release);
    let frame = wait_for_start(hart.id);
    boot::reset_host(hart);
    frame
}

impl Hsm for Call<'_> {
    fn hart_start(&self, hartid: usize, start_addr: usize, opaque: usize) -> SbiRet {
        if hartid >= platform::get().harts {
            return SbiRet::invalid_param();
        }
        if !platform::is_host_ram(start_addr, 4) {
            return SbiRet::invalid_address();
        }
        if start(hartid, start_addr as u64, opaque as u64) {
            SbiRet::success(0)
        } else {
            SbiRet::already_available()
        }
    }

    fn hart_stop(&self) -> SbiRet {
        **self.frame.borrow_mut() = stop(&mut self.hart.borrow_mut());
        self.goes_elsewhere();
        SbiRet::success(0)
    }

    fn hart_get_status(&self, hartid: usize) -> SbiRet {
        match STATES.get(hartid) {
            Some(state) if hartid < platform::get().harts => SbiRet::success(state.load(Acquire)),
            _ => SbiRet::invalid_param(),
        }
    }

    fn hart_suspend(&self, kind: u32, resume_addr: usize, opaque: usize) -> SbiRet {
        match kind {
            // It may wake up at any time, and does so at once.
            suspend_type::RETENTIVE => SbiRet::success(0),
            suspend_type::NON_RETENTIVE if !platform::is_host_ram(resume_addr, 4) => {
                SbiRet::invalid_address()
            }
            suspend_type::NON_RETENTIVE => {
                let hart = &mut self.hart.borrow_mut();
                let id = hart.id as u64;
                boot::stop_translation();
                **self.frame.borrow_mut() = Frame::starting(resume_addr as u64, id, opaque as u64);
                self.goes_elsewhere();
                SbiRet::success(0)
            }
            _ => SbiRet::not_supported(),
        }
    }
}
