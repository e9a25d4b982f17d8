// SPDX-License-Identifier: GPL-2.0

//! The extension "RFENCE".

use super::call::{done, Call};
use crate::{
    harts::remote::{self, Fence, Kind},
    machine::{csr, fields},
};
use rustsbi::{Fence as Rfence, HartMask, SbiRet};

impl Call<'_> {
    fn remote_fence(&self, harts: HartMask, kind: Kind, start: usize, size: usize) -> SbiRet {
        let fence = Fence {
            kind,
            start: start as u64,
            size: size as u64,
        };
        let this = self.hart.borrow().id;
        done(remote::fence(this, harts, fence))
    }

    /// Returns the VMID that fences of VS-stage translations act on.
    fn vmid(&self) -> u64 {
        fields::vmid(*self.hart.borrow_mut().virt(csr::HGATP))
    }
}

impl Rfence for Call<'_> {
    fn remote_fence_i(&self, harts: HartMask) -> SbiRet {
        self.remote_fence(harts, Kind::FenceI, 0, 0)
    }

    fn remote_sfence_vma(&self, harts: HartMask, start: usize, size: usize) -> SbiRet {
        self.remote_fence(harts, Kind::SfenceVma(None), start, size)
    }

    fn remote_sfence_vma_asid(
        &self,
        harts: HartMask,
        start: usize,
        size: usize,
        asid: usize,
    ) -> SbiRet {
        self.remote_fence(harts, Kind::SfenceVma(Some(asid as u64)), start, size)
    }

    fn remote_hfence_gvma_vmid(
        &self,
        harts: HartMask,
        start: usize,
        size: usize,
        vmid: usize,
    ) -> SbiRet {
        self.remote_fence(harts, Kind::HfenceGvma(Some(vmid as u64)), start, size)
    }

    fn remote_hfence_gvma(&self, harts: HartMask, start: usize, size: usize) -> SbiRet {
        self.remote_fence(harts, Kind::HfenceGvma(None), start, size)
    }

    fn remote_hfence_vvma_asid(
        &self,
        harts: HartMask,
        start: usize,
        size: usize,
        asid: usize,
    ) -> SbiRet {
        let kind = Kind::HfenceVvma(self.vmid(), Some(asid as u64));
        self.remote_fence(harts, kind, start, size)
    }

    fn remote_hfence_vvma(&self, harts: HartMask, start: usize, size: usize) -> SbiRet {
        self.remote_fence(harts, Kind::HfenceVvma(self.vmid(), None), start, size)
    }
}
