// SPDX-License-Identifier: GPL-2.0

//! Nested acceleration (SBI specification, chapter 15).

#![deny(unsafe_code)]

use crate::{
    hart::Hart,
    host::virtual_csr::{self, hstatus},
    machine::{
        csr,
        entry::Frame,
        fence::{self, Operand},
        platform,
    },
    sbi::Call,
    shmem::{HfenceEntry, Shmem, HFENCE_COUNT},
    testing::{
        counters::{self, Event},
        fence_log::{self, How, Kind},
        misuse::{self, Misuse},
    },
    world,
};
use rustsbi::{Nacl, SbiRet};
use sbi_spec::{
    binary::SharedPtr,
    nacl::{self, feature_id, shmem_size},
};

/// What `sbi_nacl_sync_csr` and `sbi_nacl_sync_hfence` take for all of them.
const ALL: usize = usize::MAX;

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

/// Before SRET: clears `hstatus.SPV` if the host has handled a trap of its own since a guest was left,
/// which set it.
///
/// Each trap to HS-mode clears it. The host's exceptions come by here while the bit is set, and its
/// interrupts do not: but each leaves its cause. If it was an interrupt that left the guest, then it is
/// pending still, and the host takes it before it goes anywhere. What shared memory has for HSTATUS
/// does not matter: nobody has synchronized it.
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
    let waits = |shmem: Shmem| {
        shmem.is_dirty(csr::HGATP) && virtual_csr::vmid(shmem.csr(csr::HGATP)) != vmid
    };
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

fn autoswap(hart: &mut Hart) {
    let Some(shmem) = hart.shmem else { return };
    if platform::has_feature(feature_id::AUTOSWAP_CSR) && shmem.swaps_hstatus() {
        counters::count(Event::Autoswap);
        let value = shmem.swap_hstatus(*hart.virt(csr::HSTATUS));
        virtual_csr::write(hart, csr::HSTATUS, value);
    }
}

/// Synchronizes one CSR, which others may depend on: they are up to date afterwards, too.
fn synchronize_csr(hart: &mut Hart, shmem: Shmem, csr: u16) {
    write_if_dirty(hart, shmem, csr);
    publish_all(hart);
}

/// Synchronizes all CSRs, those that others depend on first.
fn synchronize_csrs(hart: &mut Hart, shmem: Shmem) {
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

fn synchronize_hfences(shmem: Shmem) {
    let mut pending = (0..HFENCE_COUNT).filter(|&index| shmem.hfence(index).is_pending());
    let stay = pending.next().is_some() && misuse::takes_place(Misuse::HfencesStay);
    for index in 0..HFENCE_COUNT {
        if stay {
            leave(shmem, index);
        } else {
            synchronize_hfence(shmem, index);
        }
    }
}

fn leave(shmem: Shmem, index: usize) {
    let entry = shmem.hfence(index);
    if entry.is_pending() {
        note(How::Left, &entry);
    }
}

fn synchronize_hfence(shmem: Shmem, index: usize) {
    let entry = shmem.hfence(index);
    if entry.is_pending() {
        counters::count(Event::HfenceSynchronized);
        note(How::Queue, &entry);
        carry_out(&entry);
        shmem.set_hfence_done(index);
    }
}

fn carry_out(entry: &HfenceEntry) {
    let config = entry.config;
    let vmid = config >> 16 & 0x3fff;
    let asid = config & 0xffff;
    let (shift, address, _) = range(entry);
    // Within a block, the hart may have cached translations of smaller pages.
    let pages = |fence: &dyn Fn(Operand)| match shift {
        12 => fence::each(address, entry.page_count, shift, fence),
        _ => fence(None),
    };
    match config >> 56 & 0xf {
        0 => pages(&|address| fence::gvma_at(address, None)),
        1 => fence::gvma(None, None),
        2 => pages(&|address| fence::gvma_at(address, Some(vmid))),
        3 => fence::gvma(None, Some(vmid)),
        4 => pages(&|address| fence::vvma(vmid, address, None)),
        5 => fence::vvma(vmid, None, None),
        6 => pages(&|address| fence::vvma(vmid, address, Some(asid))),
        7 => fence::vvma(vmid, None, Some(asid)),
        // Reserved: whoever means something by it does not mean less than this.
        _ => fence::everything(),
    }
}

/// Returns the order of a fence's pages, its first address, and its number of bytes.
fn range(entry: &HfenceEntry) -> (u64, u64, u64) {
    let shift = (entry.config >> 48 & 0x7f) + 12;
    // A size that is none is taken for all addresses.
    let bytes = |pages: u64| pages.checked_shl(shift as u32).unwrap_or(0);
    (shift, bytes(entry.page_number), bytes(entry.page_count))
}

/// Notes a fence for tests.
fn note(how: How, entry: &HfenceEntry) {
    let fence = |kind, vmid, asid, range| fence_log::Fence {
        how,
        kind,
        vmid,
        asid,
        range,
    };
    let config = entry.config;
    let (_, address, bytes) = range(entry);
    let (vmid, asid) = (Some(config >> 16 & 0x3fff), Some(config & 0xffff));
    let range = Some((address, bytes));
    fence_log::note(match config >> 56 & 0xf {
        0 => fence(Kind::Gvma, None, None, range),
        2 => fence(Kind::Gvma, vmid, None, range),
        3 => fence(Kind::Gvma, vmid, None, None),
        4 => fence(Kind::Vvma, vmid, None, range),
        5 => fence(Kind::Vvma, vmid, None, None),
        6 => fence(Kind::Vvma, vmid, asid, range),
        7 => fence(Kind::Vvma, vmid, asid, None),
        _ => fence(Kind::Gvma, None, None, None),
    });
}

/// Nothing is to be synchronized.
fn is_clean(shmem: Shmem) -> bool {
    !virtual_csr::all().any(|csr| shmem.is_dirty(csr))
        && !(0..HFENCE_COUNT).any(|index| shmem.hfence(index).is_pending())
}

impl Call<'_> {
    /// The shared memory for a function that needs a feature.
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

    /// The error that a test has asked for.
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
            // What is there counts, whether the host has meant it to or not.
            if !is_clean(shmem) {
                counters::count(Event::ShmemNotClean);
            }
            publish_all(&mut hart);
        }
        counters::note_shmem(hart.id, hart.shmem.map_or(0, Shmem::address));
        Ok(())
    }

    fn try_sync_csr(&self, number: usize) -> Result<(), SbiRet> {
        let shmem = self.shmem_for(feature_id::SYNC_CSR, nacl::SYNC_CSR)?;
        let mut hart = self.hart.borrow_mut();
        if number == ALL {
            synchronize_csrs(&mut hart, shmem);
            return Ok(());
        }
        let is_h = number < 0x1000 && number & 0x300 == 0x200;
        if !is_h || !virtual_csr::exists(number as u16) {
            return Err(SbiRet::invalid_param());
        }
        synchronize_csr(&mut hart, shmem, number as u16);
        Ok(())
    }

    fn try_sync_hfence(&self, index: usize) -> Result<(), SbiRet> {
        let shmem = self.shmem_for(feature_id::SYNC_HFENCE, nacl::SYNC_HFENCE)?;
        match index {
            ALL => synchronize_hfences(shmem),
            _ if index < HFENCE_COUNT => synchronize_hfence(shmem, index),
            _ => return Err(SbiRet::invalid_param()),
        }
        Ok(())
    }

    fn try_sync_sret(&self) -> Result<(), SbiRet> {
        let shmem = self.shmem_for(feature_id::SYNC_SRET, nacl::SYNC_SRET)?;
        let mut hart = self.hart.borrow_mut();
        if platform::has_feature(feature_id::SYNC_CSR) {
            synchronize_csrs(&mut hart, shmem);
        }
        if platform::has_feature(feature_id::SYNC_HFENCE) {
            synchronize_hfences(shmem);
        }
        autoswap(&mut hart);
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
        world::sret(&mut hart, frame);
        publish(&mut hart, csr::HSTATUS);
        self.goes_elsewhere();
        Ok(())
    }
}

/// The host gets what a function has to say.
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
