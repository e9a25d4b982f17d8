// SPDX-License-Identifier: GPL-2.0

//! The extension "Hart State Management".

use super::call::Call;
use crate::{
    harts::{start, state},
    host,
    machine::{frame::Frame, platform},
    testing::{
        counters,
        misuse::{self, Misuse},
    },
};
use rustsbi::{Hsm, SbiRet};
use sbi_spec::hsm::suspend_type;

impl Hsm for Call<'_> {
    fn hart_start(&self, hartid: usize, start_addr: usize, opaque: usize) -> SbiRet {
        if hartid >= platform::get().harts {
            return SbiRet::invalid_param();
        }
        if !platform::is_host_ram(start_addr, 4) {
            return SbiRet::invalid_address();
        }
        if state::start(hartid, start_addr as u64, opaque as u64) {
            SbiRet::success(0)
        } else {
            SbiRet::already_available()
        }
    }

    fn hart_stop(&self) -> SbiRet {
        **self.frame.borrow_mut() = start::stop(&mut self.hart.borrow_mut());
        self.goes_elsewhere();
        SbiRet::success(0)
    }

    fn hart_get_status(&self, hartid: usize) -> SbiRet {
        match state::get(hartid) {
            Some(state) if hartid < platform::get().harts => SbiRet::success(state),
            _ => SbiRet::invalid_param(),
        }
    }

    fn hart_suspend(&self, kind: u32, resume_addr: usize, opaque: usize) -> SbiRet {
        match kind {
            // The hart may resume at any time, so it resumes immediately.
            suspend_type::RETENTIVE => SbiRet::success(0),
            suspend_type::NON_RETENTIVE if !platform::is_host_ram(resume_addr, 4) => {
                SbiRet::invalid_address()
            }
            suspend_type::NON_RETENTIVE => {
                let hart = &mut self.hart.borrow_mut();
                let id = hart.id as u64;
                host::reset::stop_translation();
                if misuse::takes_place(Misuse::ForgetShmem) {
                    hart.shmem = None;
                    counters::note_shmem(hart.id, 0);
                }
                **self.frame.borrow_mut() = Frame::starting(resume_addr as u64, id, opaque as u64);
                self.goes_elsewhere();
                SbiRet::success(0)
            }
            _ => SbiRet::not_supported(),
        }
    }
}
