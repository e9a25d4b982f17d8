// SPDX-License-Identifier: GPL-2.0

//! The extension "Nested Acceleration" (SBI specification, chapter 15).

use super::call::Call;
use crate::{
    host::virtual_csr,
    machine::{csr, frame::Frame, platform},
    nacl::{csr_space, hfence_queue},
    shmem::{Shmem, HFENCE_COUNT},
    testing::{
        counters::{self, Event},
        misuse::{self, Misuse},
    },
    world::hs_mode,
};
use rustsbi::{Nacl, SbiRet};
use sbi_spec::{
    binary::SharedPtr,
    nacl::{self, feature_id, shmem_size},
};

/// The argument of SYNC_CSR and SYNC_HFENCE that means all of them.
const ALL: usize = usize::MAX;

impl Call<'_> {
    /// Returns the shared memory for a function that needs a feature, or the error to return.
    fn shmem_for(&self, feature: usize, function: usize) -> Result<Shmem, SbiRet> {
        if !platform::has_feature(feature) {
            return Err(SbiRet::not_supported());
        }
        let shmem = self.hart.borrow().shmem.ok_or(SbiRet::no_shmem())?;
        self.misuse(function)?;
        if misuse::takes_place(Misuse::Scribble) {
            shmem.scribble(misuse::garbage());
        }
        Ok(shmem)
    }

    /// Returns the error that a test has asked for, if any.
    fn misuse(&self, function: usize) -> Result<(), SbiRet> {
        if misuse::fails(function) {
            return Err(SbiRet::failed());
        }
        Ok(())
    }

    fn try_set_shmem(&self, address: usize, high: usize, flags: usize) -> Result<(), SbiRet> {
        if flags != 0 {
            return Err(SbiRet::invalid_param());
        }
        self.misuse(nacl::SET_SHMEM)?;
        let mut hart = self.hart.borrow_mut();
        if (address, high) == (usize::MAX, usize::MAX) {
            hart.shmem = None;
        } else if address % 0x1000 != 0 {
            return Err(SbiRet::invalid_param());
        } else if high != 0 {
            return Err(SbiRet::invalid_address());
        } else {
            let shmem = Shmem::new(address).ok_or(SbiRet::invalid_address())?;
            hart.shmem = Some(shmem);
            // Dirty CSRs and pending fences take effect at the next synchronization, even if the
            // host does not know of them.
            if !(csr_space::is_clean(shmem) && hfence_queue::is_empty(shmem)) {
                counters::count(Event::ShmemNotClean);
            }
            csr_space::publish_all(&mut hart);
        }
        counters::note_shmem(hart.id, hart.shmem.map_or(0, Shmem::address));
        Ok(())
    }

    fn try_sync_csr(&self, number: usize) -> Result<(), SbiRet> {
        let shmem = self.shmem_for(feature_id::SYNC_CSR, nacl::SYNC_CSR)?;
        let mut hart = self.hart.borrow_mut();
        if number == ALL {
            csr_space::synchronize_csrs(&mut hart, shmem);
            return Ok(());
        }
        let is_h = number < 0x1000 && number & 0x300 == 0x200;
        if !is_h || !virtual_csr::exists(number as u16) {
            return Err(SbiRet::invalid_param());
        }
        csr_space::synchronize_csr(&mut hart, shmem, number as u16);
        Ok(())
    }

    fn try_sync_hfence(&self, index: usize) -> Result<(), SbiRet> {
        let shmem = self.shmem_for(feature_id::SYNC_HFENCE, nacl::SYNC_HFENCE)?;
        match index {
            ALL => hfence_queue::synchronize_all(shmem),
            _ if index < HFENCE_COUNT => hfence_queue::synchronize(shmem, index),
            _ => return Err(SbiRet::invalid_param()),
        }
        Ok(())
    }

    fn try_sync_sret(&self) -> Result<(), SbiRet> {
        let shmem = self.shmem_for(feature_id::SYNC_SRET, nacl::SYNC_SRET)?;
        let mut hart = self.hart.borrow_mut();
        if platform::has_feature(feature_id::SYNC_CSR) {
            csr_space::synchronize_csrs(&mut hart, shmem);
        }
        if platform::has_feature(feature_id::SYNC_HFENCE) {
            hfence_queue::synchronize_all(shmem);
        }
        csr_space::autoswap(&mut hart);
        if misuse::takes_place(Misuse::SretFailsLate) {
            return Err(SbiRet::failed());
        }
        if misuse::takes_place(Misuse::SretReturns) {
            return Ok(());
        }
        let mut frame = self.frame.borrow_mut();
        let frame: &mut Frame = &mut frame;
        for x in 1..32 {
            frame.x[x] = shmem.sret_register(x);
        }
        hs_mode::sret(&mut hart, frame);
        csr_space::publish(&mut hart, csr::HSTATUS);
        self.goes_elsewhere();
        Ok(())
    }
}

/// Returns the answer of a function.
fn answer(result: Result<(), SbiRet>) -> SbiRet {
    result.err().unwrap_or(SbiRet::success(0))
}

impl Nacl for Call<'_> {
    fn probe_feature(&self, feature_id: u32) -> SbiRet {
        match self.misuse(nacl::PROBE_FEATURE) {
            Ok(()) => SbiRet::success(platform::has_feature(feature_id as usize).into()),
            Err(error) => error,
        }
    }

    fn set_shmem(&self, shmem: SharedPtr<[u8; shmem_size::NATIVE]>, flags: usize) -> SbiRet {
        answer(self.try_set_shmem(shmem.phys_addr_lo(), shmem.phys_addr_hi(), flags))
    }

    fn sync_csr(&self, csr_num: usize) -> SbiRet {
        answer(self.try_sync_csr(csr_num))
    }

    fn sync_hfence(&self, entry_index: usize) -> SbiRet {
        answer(self.try_sync_hfence(entry_index))
    }

    fn sync_sret(&self) -> SbiRet {
        answer(self.try_sync_sret())
    }
}
