// SPDX-License-Identifier: GPL-2.0

//! Checks of SYNC_SRET and of SRET.

use crate::{
    csr::{csr, HSTATUS, SPV, SPVP, VSSCRATCH},
    features::{has, AUTOSWAP_CSR, SYNC_CSR, SYNC_HFENCE},
    guest::{
        enter, guest, make_guest, Stay, BY_CALL, BY_SRET, ECALL_VS, NOT_LEFT, SOFTWARE_INTERRUPT,
    },
    interrupt::{raise_interrupt, take_interrupt},
    judge::Judge,
    shmem::{Shmem, AUTOSWAP_FLAGS, AUTOSWAP_HSTATUS},
};
use sbi_rt::{nacl_sync_csr, SbiRet};

/// Checks the entry by SYNC_SRET, with everything that it synchronizes and swaps.
pub fn sync_sret(judge: &mut Judge, shmem: Shmem) {
    let host = csr!(read "hstatus");
    let mut stay = Stay::new();
    for x in 0..32 {
        shmem.write(x, 0x1000 + x as u64);
    }
    make_guest();
    csr!(write "vsscratch", 0x77);
    if has(AUTOSWAP_CSR) {
        shmem.write(AUTOSWAP_HSTATUS, host | SPV | SPVP);
        shmem.write(AUTOSWAP_FLAGS, 1);
    } else {
        csr!(write "hstatus", host | SPV | SPVP);
    }
    if has(SYNC_CSR) {
        shmem.write_csr(VSSCRATCH, 0x78);
    }
    if has(SYNC_HFENCE) {
        shmem.queue(11, 5);
    }

    // SAFETY: The guest's only instruction is an ECALL.
    let error = unsafe { enter(&mut stay, BY_CALL) };

    judge.check("SYNC_SRET: entry", error == 0);
    judge.check(
        "SYNC_SRET: registers",
        (1..32).all(|x| stay.x[x] == 0x1000 + x as u64),
    );
    judge.check("SYNC_SRET: scause", stay.scause == ECALL_VS);
    judge.check("SYNC_SRET: sepc", stay.sepc == &raw const guest as u64);
    if has(SYNC_CSR) {
        judge.check("SYNC_SRET: CSR", csr!(read "vsscratch") == 0x78);
        judge.check("SYNC_SRET: dirty", !shmem.is_dirty(VSSCRATCH));
    }
    if has(SYNC_HFENCE) {
        judge.check("SYNC_SRET: fence", !shmem.is_pending(11));
    }
    if has(AUTOSWAP_CSR) {
        let swapped = shmem.read(AUTOSWAP_HSTATUS);
        judge.check("autoswap: host's", csr!(read "hstatus") == host);
        judge.check("autoswap: CSR space", shmem.csr(HSTATUS) == host);
        judge.check("autoswap: guest's", swapped & (SPV | SPVP) == SPV | SPVP);
        shmem.write(AUTOSWAP_FLAGS, 0);
    } else {
        let trapped = shmem.csr(HSTATUS);
        judge.check("SYNC_SRET: hstatus", trapped & (SPV | SPVP) == SPV | SPVP);
        judge.check("SYNC_SRET: hstatus is one", csr!(read "hstatus") == trapped);
        csr!(write "hstatus", host);
    }
}

/// Checks that SRET obeys the hart's `hstatus`, and not a value that waits in shared memory.
pub fn plain_sret(judge: &mut Judge, shmem: Shmem) {
    let host = csr!(read "hstatus");
    let mut stay = Stay::new();
    // SAFETY: The guest's only instruction is an ECALL.
    let enter = |stay: &mut Stay| unsafe { enter(stay, BY_SRET) };
    let spv = || csr!(read "hstatus") & SPV != 0;
    make_guest();

    judge.check("SRET: in the host", enter(&mut stay) == NOT_LEFT);
    csr!(write "hstatus", host | SPV | SPVP);
    judge.check("SRET: entry", enter(&mut stay) == 0);
    judge.check("SRET: scause", stay.scause == ECALL_VS);
    judge.check("SRET: hstatus after the trap", spv());
    judge.check("SRET: and again", enter(&mut stay) == 0);
    if has(SYNC_CSR) {
        shmem.write_csr(HSTATUS, host);
        judge.check("SRET: hstatus dirty", enter(&mut stay) == 0);
        judge.check("SRET: hstatus is clean", shmem.is_dirty(HSTATUS));
        judge.check("SRET: hstatus was written", spv());
        let ret = nacl_sync_csr(HSTATUS);
        judge.gives("SYNC_CSR: hstatus", ret, SbiRet::success(0));
        judge.check("SYNC_CSR: in the host", enter(&mut stay) == NOT_LEFT);
        csr!(write "hstatus", host | SPV | SPVP);
        judge.check("SRET: hstatus synchronized", enter(&mut stay) == 0);
    }

    // An interrupt of the host clears SPV.
    raise_interrupt();
    take_interrupt();
    judge.check("SRET: SPV after an interrupt", !spv());
    judge.check("SRET: CSR space", shmem.csr(HSTATUS) & SPV == 0);
    // So does the interrupt that made the guest exit.
    csr!(write "hstatus", host | SPV | SPVP);
    raise_interrupt();
    judge.check("SRET: entry with an interrupt", enter(&mut stay) == 0);
    judge.check(
        "SRET: left by an interrupt",
        stay.scause == SOFTWARE_INTERRUPT,
    );
    judge.check("SRET: hstatus after the interrupt", spv());
    take_interrupt();
    judge.check("SRET: SPV after that interrupt", !spv());
    judge.check("SRET: back in the host", enter(&mut stay) == NOT_LEFT);
    csr!(write "hstatus", host);
}
