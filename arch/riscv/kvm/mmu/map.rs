// SPDX-License-Identifier: GPL-2.0

//! Maps frames of a memslot in the guest, when it faults on them.

use crate::{
    abi::pte::{
        self,
        Level, //
    },
    hart::trap::GuestPageFault,
    mmu::{
        fence_queue::{
            Fence,
            Span, //
        },
        gstage::{
            Flush,
            Mapping, //
        },
        remote_fence, //
    },
    Riscv, //
};
use kernel::{
    kvm::{
        signal_hwpoison,
        stats::vcpu_counter,
        ExitReason,
        Gfn,
        LoadedVcpu,
        Memslot,
        MmuSeq,
        MmuWriteGuard,
        PageFault,
        SrcuGuard, //
    },
    page::PAGE_SIZE,
    prelude::*, //
};

/// Returns the memslot that the guest has faulted on, if the fault is about memory.
///
/// A write to a read-only slot is an access to a device. A slot that user space is about to replace
/// is returned whatever it allows, because what comes after it is not known yet: [`map`] makes the
/// guest try again.
pub(crate) fn memslot<'a>(
    srcu: &'a SrcuGuard<'_, Riscv>,
    fault: &GuestPageFault,
) -> Option<Memslot<'a>> {
    let slot = srcu.memslot(fault.gpa.gfn())?;
    (slot.is_invalid() || !(fault.writes() && slot.is_read_only())).then_some(slot)
}

/// Maps the frame of `slot` that the guest has faulted on.
///
/// If the host changes the slot or the frame meanwhile, nothing is mapped, and the guest faults
/// once more.
///
/// # Errors
///
/// [`EINTR`] if a signal came first, [`EFAULT`] if user space has no memory there, [`ENOMEM`].
pub(crate) fn map(
    vcpu: &LoadedVcpu<'_, Riscv>,
    slot: &Memslot<'_>,
    fault: &GuestPageFault,
) -> Result {
    if slot.is_invalid() {
        return Ok(());
    }
    let (gfn, write) = (fault.gpa.gfn(), fault.writes());
    let vm = vcpu.vm();
    let gstage = &vm.backend().gstage;
    let logged = slot.logs_dirty_pages() && !slot.is_read_only();

    let seq = MmuSeq::read(vm);
    if write && logged && make_writable(vcpu, slot, gfn, seq) {
        fence_page(vcpu, gfn);
        return Ok(());
    }

    let mut cache = vcpu.local().cache.try_borrow_mut().map_err(|_| EBUSY)?;
    cache.top_up(vm, gstage.max_new_tables())?;
    let page = match slot.fault_in(gfn, write) {
        Ok(page) => page,
        Err(PageFault::HwPoison) => {
            signal_hwpoison(vm, slot.hva(gfn));
            return Ok(());
        }
        Err(PageFault::Signal) => {
            vcpu.run_area().set_exit_reason(ExitReason::Intr);
            vcpu.count(vcpu_counter!(signal_exits));
            return Err(EINTR);
        }
        Err(PageFault::NoAccess) => return Err(EFAULT),
    };

    let mmu = vm.mmu_write_lock();
    if mmu.must_retry(seq, gfn) {
        return Ok(());
    }
    // While pages are logged, a page becomes writable only when the guest has been seen to write
    // it.
    let rights = match (page.writable(), write || !logged) {
        (true, true) => pte::Rights::Writable,
        (true, false) => pte::Rights::Logged,
        (false, _) => pte::Rights::ReadOnly,
    };
    let mapping = Mapping {
        gfn,
        pfn: page.pfn(),
        rights,
        max_level: if logged {
            Level::PAGE
        } else {
            max_level(&mmu, slot, gfn)
        },
    };
    if rights == pte::Rights::Writable {
        vm.mark_page_dirty(slot, gfn);
    }
    let flush = match gstage.map(&mmu, &mut cache, mapping) {
        Ok(flush) => flush,
        Err(EAGAIN) => return Ok(()),
        Err(e) => return Err(e),
    };
    page.release_mapped(&mmu);
    drop(mmu);

    match flush {
        Flush::None => {}
        Flush::Local => fence_page(vcpu, gfn),
        Flush::Remote => {
            // The largest leaf there is, so that the fence covers the leaf that was split.
            let level = Level::GIGAPAGE;
            let start = level.first(gfn.0);
            vm.flush_remote_tlbs(&(Gfn(start)..Gfn(start + level.pages())));
        }
    }
    Ok(())
}

/// Makes a page writable that is mapped, but write-protected for the log. Returns `false` if there
/// is no such page.
///
/// Most faults are of this kind while user space logs, so it takes the lock for reading only.
fn make_writable(vcpu: &LoadedVcpu<'_, Riscv>, slot: &Memslot<'_>, gfn: Gfn, seq: MmuSeq) -> bool {
    let vm = vcpu.vm();
    let mmu = vm.mmu_read_lock();
    let done = !mmu.must_retry(seq, gfn) && vm.backend().gstage.make_page_writable(&mmu, gfn);
    if done {
        vm.mark_page_dirty(slot, gfn);
    }
    done
}

/// Drops what the vCPU's hart has cached of a page, before the vCPU enters the guest again.
fn fence_page(vcpu: &LoadedVcpu<'_, Riscv>, gfn: Gfn) {
    let span = Span::new(gfn.gpa().0, PAGE_SIZE as u64);
    remote_fence::queue(vcpu, Fence::Gpa(span));
}

/// Returns the level of the largest leaf that may map `gfn`: the host must have a page as large,
/// and the page must lie in the memslot, at the same offset in both address spaces.
pub(crate) fn max_level(mmu: &MmuWriteGuard<'_, Riscv>, slot: &Memslot<'_>, gfn: Gfn) -> Level {
    let gfns = slot.gfns();
    let host_page = slot.userspace_addr().0 as u64 >> pte::PAGE_SHIFT;
    let fits = |level: Level| {
        let mask = level.pages() - 1;
        let first = level.first(gfn.0);
        (gfns.start.0 & mask) == (host_page & mask)
            && first >= gfns.start.0
            && first + level.pages() <= gfns.end.0
    };
    if !fits(Level::MEGAPAGE) {
        return Level::PAGE;
    }
    let host = Level::of_leaf(mmu.host_leaf_level(slot.hva(gfn)));
    if fits(host) {
        host
    } else {
        Level::MEGAPAGE.min(host)
    }
}
