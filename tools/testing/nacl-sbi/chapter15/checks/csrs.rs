// SPDX-License-Identifier: GPL-2.0

//! Checks of the CSR space and of SYNC_CSR.

use crate::{
    csr::{csr, HIDELEG, HIE, HIP, HVIP, VSIE, VSSCRATCH, VSTVAL},
    features::{has, SYNC_CSR, SYNC_HFENCE},
    judge::Judge,
    shmem::{Shmem, ALL},
};
use sbi_rt::{nacl_sync_csr, nacl_sync_hfence, SbiRet};

/// Checks that shared memory shows the values of CSRs, however they are written.
pub fn csr_space(judge: &mut Judge, first: Shmem, second: Shmem) {
    // SET_SHMEM keeps dirty CSRs and pending fences, and publishes all other CSRs.
    first.write_csr(VSSCRATCH, 99);
    first.queue(3, 1);
    csr!(write "vsscratch", 1);
    judge.gives("SET_SHMEM", first.set(), SbiRet::success(0));
    judge.check("what was dirty is so", first.is_dirty(VSSCRATCH));
    judge.check("what was pending is so", first.is_pending(3));
    judge.check("what was dirty is written", csr!(read "vsscratch") == 1);
    if has(SYNC_CSR) {
        judge.check("what was dirty keeps its value", first.csr(VSSCRATCH) == 99);
        judge.gives("SYNC_CSR", nacl_sync_csr(ALL), SbiRet::success(0));
        judge.check("what was dirty", csr!(read "vsscratch") == 99);
        csr!(write "vsscratch", 1);
    }
    if has(SYNC_HFENCE) {
        judge.gives("SYNC_HFENCE", nacl_sync_hfence(ALL), SbiRet::success(0));
        judge.check("what was pending", !first.is_pending(3));
    }
    first.clean();
    judge.check("CSR space at the start", first.csr(VSSCRATCH) == 1);
    csr!(write "vsscratch", 2);
    judge.check("CSR space after a write", first.csr(VSSCRATCH) == 2);
    judge.gives("SET_SHMEM: move", second.set(), SbiRet::success(0));
    judge.check("CSR space after a move", second.csr(VSSCRATCH) == 2);
    csr!(write "vsscratch", 3);
    judge.check("CSR space that was left", first.csr(VSSCRATCH) == 2);
    judge.check("CSR space that was taken", second.csr(VSSCRATCH) == 3);
    judge.gives("SET_SHMEM: and back", first.set(), SbiRet::success(0));
}

/// Checks SYNC_CSR.
pub fn sync_csr(judge: &mut Judge, shmem: Shmem) {
    let param = SbiRet::invalid_param();
    judge.gives("SYNC_CSR: not H", nacl_sync_csr(0x140), param);
    judge.gives("SYNC_CSR: too large", nacl_sync_csr(0x1240), param);
    judge.gives("SYNC_CSR: no such CSR", nacl_sync_csr(0x6ff), param);

    shmem.write_csr(VSSCRATCH, 5);
    shmem.write_csr(VSTVAL, 6);
    judge.check("written too soon", csr!(read "vsscratch") == 3);
    judge.gives(
        "SYNC_CSR: one",
        nacl_sync_csr(VSSCRATCH),
        SbiRet::success(0),
    );
    judge.check("SYNC_CSR: value", csr!(read "vsscratch") == 5);
    judge.check("SYNC_CSR: dirty", !shmem.is_dirty(VSSCRATCH));
    judge.check("SYNC_CSR: another", shmem.is_dirty(VSTVAL));
    judge.check("SYNC_CSR: another's value", csr!(read "vstval") != 6);
    judge.gives("SYNC_CSR: all", nacl_sync_csr(ALL), SbiRet::success(0));
    judge.check("SYNC_CSR: all values", csr!(read "vstval") == 6);
    judge.check("SYNC_CSR: all dirty", !shmem.is_dirty(VSTVAL));

    // `vsie` is a view of `hie` that `hideleg` selects, and `hip` shows `hvip`.
    csr!(write "hideleg", 0);
    shmem.write_csr(VSIE, 0x222);
    shmem.write_csr(HIDELEG, 0x444);
    shmem.write_csr(HVIP, 0x4);
    judge.gives("SYNC_CSR: order", nacl_sync_csr(ALL), SbiRet::success(0));
    judge.check("order: vsie", csr!(read "vsie") == 0x222);
    judge.check("order: hie", shmem.csr(HIE) == 0x444);
    judge.check("order: hip", shmem.csr(HIP) == 0x4);
    // An illegal value is published as the legal one that the CSR then holds.
    shmem.write_csr(HVIP, !0);
    judge.gives("SYNC_CSR: WARL", nacl_sync_csr(HVIP), SbiRet::success(0));
    judge.check("WARL: hvip", shmem.csr(HVIP) == 0x444);
    for csr in [HVIP, VSIE] {
        shmem.write_csr(csr, 0);
    }
    judge.gives("SYNC_CSR: clear", nacl_sync_csr(ALL), SbiRet::success(0));
}
