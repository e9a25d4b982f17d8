// SPDX-License-Identifier: GPL-2.0

//! Checks of SET_SHMEM, of PROBE_FEATURE, and of the other functions without shared memory.

use crate::{
    features::{has, SYNC_CSR, SYNC_HFENCE, SYNC_SRET},
    judge::Judge,
    shmem::{Shmem, ALL},
};
use sbi_rt::{
    nacl_probe_feature, nacl_set_shmem, nacl_sync_csr, nacl_sync_hfence, nacl_sync_sret, SbiRet,
    SharedPtr,
};

/// Checks that features which do not exist are not offered.
pub fn probe(judge: &mut Judge) {
    for feature in [4, 5, 0x1000, u32::MAX] {
        let ret = nacl_probe_feature(feature);
        judge.gives("PROBE: no such feature", ret, SbiRet::success(0));
    }
}

/// Checks the error of each function while there is no shared memory.
pub fn no_memory(judge: &mut Judge) {
    let expected = |feature| match has(feature) {
        true => SbiRet::no_shmem(),
        false => SbiRet::not_supported(),
    };
    judge.gives(
        "SYNC_CSR: no memory",
        nacl_sync_csr(ALL),
        expected(SYNC_CSR),
    );
    judge.gives(
        "SYNC_HFENCE: no memory",
        nacl_sync_hfence(ALL),
        expected(SYNC_HFENCE),
    );
    judge.gives(
        "SYNC_SRET: no memory",
        nacl_sync_sret(),
        expected(SYNC_SRET),
    );
}

/// Checks that SET_SHMEM refuses bad arguments.
pub fn bad_memory(judge: &mut Judge) {
    let set = |low, high, flags| nacl_set_shmem(SharedPtr::new(low, high), flags);
    let good = Shmem::first().address();
    let (param, address) = (SbiRet::invalid_param(), SbiRet::invalid_address());
    judge.gives("SET_SHMEM: flags", set(good, 0, 1), param);
    judge.gives("SET_SHMEM: flags to disable", set(ALL, ALL, 2), param);
    judge.gives("SET_SHMEM: not aligned", set(good + 8, 0, 0), param);
    judge.gives("SET_SHMEM: above XLEN", set(good, 1, 0), address);
    judge.gives("SET_SHMEM: the firmware", set(0x8000_0000, 0, 0), address);
    judge.gives(
        "SET_SHMEM: into the firmware",
        set(0x801f_f000, 0, 0),
        address,
    );
    judge.gives("SET_SHMEM: a device", set(0x1000_0000, 0, 0), address);
    judge.gives("SET_SHMEM: nothing", set(0x1000, 0, 0), address);
    judge.gives("SET_SHMEM: the end", set(ALL & !0xfff, 0, 0), address);
}
