// SPDX-License-Identifier: GPL-2.0

//! The H CSRs in shared memory.

use crate::{
    hart::Hart,
    host::virtual_csr,
    machine::{
        csr,
        fields::{self, hstatus},
        platform,
    },
    shmem::Shmem,
    testing::{
        counters::{self, Event},
        misuse::{self, Misuse},
    },
};
use sbi_spec::nacl::feature_id;

/// Writes an H CSR to shared memory, where the host reads it.
///
/// What the host has written there is left: it has not been told that this counts for nothing.
pub fn publish(hart: &mut Hart, csr: u16) {
    let Some(shmem) = hart.shmem else { return };
    if platform::has_feature(feature_id::SYNC_CSR) && shmem.is_dirty(csr) {
        return;
    }
    shmem.set_csr(csr, virtual_csr::read(hart, csr));
}

/// Writes all H CSRs to shared memory.
pub fn publish_all(hart: &mut Hart) {
    if hart.shmem.is_some() {
        virtual_csr::all().for_each(|csr| publish(hart, csr));
    }
}

/// Before SRET: clears `hstatus.SPV` if the host has handled a trap of its own since a guest was
/// left, which set it.
///
/// Each trap to HS-mode clears it. The host's exceptions come by here while the bit is set, and its
/// interrupts do not: but each leaves its cause. If it was an interrupt that left the guest, then
/// it is pending still, and the host takes it before it goes anywhere. What shared memory has for
/// HSTATUS does not matter: nobody has synchronized it.
pub fn notice_trap(hart: &mut Hart) {
    const INTERRUPT: u64 = 1 << 63;
    if hart.has_left_guest && csr::read(csr::VSCAUSE) & INTERRUPT != 0 {
        *hart.virt(csr::HSTATUS) &= !hstatus::SPV;
        publish(hart, csr::HSTATUS);
    }
    hart.has_left_guest = false;
}

/// The host executes HFENCE.VVMA, which acts on this VMID.
pub fn judge_vvma(hart: &mut Hart, vmid: u64) {
    let waits =
        |shmem: Shmem| shmem.is_dirty(csr::HGATP) && fields::vmid(shmem.csr(csr::HGATP)) != vmid;
    if platform::has_feature(feature_id::SYNC_CSR) && hart.shmem.is_some_and(waits) {
        counters::count(Event::VvmaAheadOfHgatp);
    }
}

/// The hart has come to V=0 from V=1.
pub fn left_guest(hart: &mut Hart) {
    hart.has_left_guest = true;
    autoswap(hart);
    publish_all(hart);
    if let Some(shmem) = hart.shmem {
        if misuse::takes_place(Misuse::CsrGarbage) {
            virtual_csr::all().for_each(|csr| shmem.set_csr(csr, misuse::garbage()));
        }
    }
}

pub fn autoswap(hart: &mut Hart) {
    let Some(shmem) = hart.shmem else { return };
    if platform::has_feature(feature_id::AUTOSWAP_CSR) && shmem.swaps_hstatus() {
        counters::count(Event::Autoswap);
        let value = shmem.swap_hstatus(*hart.virt(csr::HSTATUS));
        virtual_csr::write(hart, csr::HSTATUS, value);
    }
}

/// Synchronizes one CSR, which others may depend on: they are up to date afterwards, too.
pub fn synchronize_csr(hart: &mut Hart, shmem: Shmem, csr: u16) {
    write_if_dirty(hart, shmem, csr);
    publish_all(hart);
}

/// Synchronizes all CSRs, those that others depend on first.
pub fn synchronize_csrs(hart: &mut Hart, shmem: Shmem) {
    virtual_csr::all().for_each(|csr| write_if_dirty(hart, shmem, csr));
    publish_all(hart);
}

fn write_if_dirty(hart: &mut Hart, shmem: Shmem, csr: u16) {
    if shmem.is_dirty(csr) {
        counters::count(Event::CsrSynchronized);
        virtual_csr::write(hart, csr, shmem.csr(csr));
        shmem.set_clean(csr);
    }
}

/// Returns whether no CSR is to be synchronized.
pub fn is_clean(shmem: Shmem) -> bool {
    !virtual_csr::all().any(|csr| shmem.is_dirty(csr))
}
