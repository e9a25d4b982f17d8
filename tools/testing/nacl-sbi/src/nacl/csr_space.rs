// SPDX-License-Identifier: GPL-2.0

//! The H CSRs in shared memory: the CSR space and the autoswap area.

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

/// Writes the value of an H CSR to shared memory, for the host to read.
///
/// A dirty CSR keeps the host's value, which waits to be synchronized.
pub fn publish(hart: &mut Hart, csr: u16) {
    let Some(shmem) = hart.shmem else { return };
    if platform::has_feature(feature_id::SYNC_CSR) && shmem.is_dirty(csr) {
        return;
    }
    shmem.set_csr(csr, virtual_csr::read(hart, csr));
}

/// Writes the values of all H CSRs to shared memory.
pub fn publish_all(hart: &mut Hart) {
    if hart.shmem.is_some() {
        virtual_csr::all().for_each(|csr| publish(hart, csr));
    }
}

/// Before SRET: clears `hstatus.SPV`, which an exit of the guest has set, if the host has taken an
/// interrupt of its own since that exit.
///
/// A trap to HS-mode clears SPV. While SPV is set, the host's exceptions trap to M-mode, which
/// clears it; its interrupts do not, but leave their cause in `vscause`. An interrupt that made the
/// guest exit leaves such a cause, too; but it is still pending, and the host takes it again before
/// any SRET to the guest. A value of HSTATUS that waits in shared memory has no effect, because it
/// is not synchronized.
pub fn notice_trap(hart: &mut Hart) {
    const INTERRUPT: u64 = 1 << 63;
    if hart.has_left_guest
        && csr::read(csr::VSCAUSE) & INTERRUPT != 0
        && !misuse::takes_place(Misuse::SpvStands)
    {
        *hart.virt(csr::HSTATUS) &= !hstatus::SPV;
        publish(hart, csr::HSTATUS);
    }
    hart.has_left_guest = false;
}

/// Counts, for tests, an HFENCE.VVMA that acts on `vmid` while a `hgatp` with another VMID waits in
/// shared memory.
pub fn judge_vvma(hart: &mut Hart, vmid: u64) {
    let waits =
        |shmem: Shmem| shmem.is_dirty(csr::HGATP) && fields::vmid(shmem.csr(csr::HGATP)) != vmid;
    if platform::has_feature(feature_id::SYNC_CSR) && hart.shmem.is_some_and(waits) {
        counters::count(Event::VvmaAheadOfHgatp);
    }
}

/// Updates shared memory after the guest has exited: swaps `hstatus` if asked to, and publishes all
/// CSRs.
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

/// Exchanges `hstatus` with the value in the autoswap area, if the host asks for that.
pub fn autoswap(hart: &mut Hart) {
    let Some(shmem) = hart.shmem else { return };
    if platform::has_feature(feature_id::AUTOSWAP_CSR) && shmem.swaps_hstatus() {
        counters::count(Event::Autoswap);
        let value = shmem.swap_hstatus(*hart.virt(csr::HSTATUS));
        virtual_csr::write(hart, csr::HSTATUS, value);
    }
}

/// Synchronizes one CSR, and publishes all, because others may depend on it.
pub fn synchronize_csr(hart: &mut Hart, shmem: Shmem, csr: u16) {
    write_if_dirty(hart, shmem, csr);
    publish_all(hart);
}

/// Synchronizes all CSRs, in an order in which none depends on a later one.
pub fn synchronize_csrs(hart: &mut Hart, shmem: Shmem) {
    virtual_csr::all().for_each(|csr| write_if_dirty(hart, shmem, csr));
    publish_all(hart);
}

/// Writes a dirty CSR to the hart's state, and marks it clean.
fn write_if_dirty(hart: &mut Hart, shmem: Shmem, csr: u16) {
    if shmem.is_dirty(csr) {
        counters::count(Event::CsrSynchronized);
        virtual_csr::write(hart, csr, shmem.csr(csr));
        shmem.set_clean(csr);
    }
}

/// Returns whether no CSR waits to be synchronized.
pub fn is_clean(shmem: Shmem) -> bool {
    !virtual_csr::all().any(|csr| shmem.is_dirty(csr))
}
