// SPDX-License-Identifier: GPL-2.0

//! Guest page faults: map what is memory, and hand over to `mmio.rs` what is not.

#![deny(unsafe_code)]

use crate::{
    abi::pte::{
        self,
        Level, //
    },
    exits::{
        mmio,
        Next, //
    },
    hart::trap::{
        Access,
        Exit,
        GuestPageFault,
        Trap, //
    },
    mmu::{
        fence_queue::{
            Fence,
            Span, //
        },
        gstage::{
            Flush,
            Mapping, //
        },
        tlb, //
    },
    vcpu::exception::{
        inject,
        Exception, //
    },
    Riscv, //
};
use kernel::{
    interrupt::LocalInterruptDisabled,
    kvm::{
        self,
        signal_hwpoison,
        stats::vcpu_counter,
        ExitReason,
        Gfn,
        LoadedVcpu,
        Memslot,
        MmuSeq,
        MmuWriteGuard,
        SrcuGuard, //
    },
    page::PAGE_SIZE,
    prelude::*, //
};

/// Handles a guest page fault.
pub(crate) fn handle(vcpu: &LoadedVcpu<'_, Riscv>, fault: &GuestPageFault) -> Result<Next> {
    let srcu = vcpu.srcu_read_lock();
    match memslot(&srcu, fault) {
        Some(slot) => map(vcpu, &slot, fault),
        None => mmio::handle(vcpu, &srcu, fault),
    }
}

/// Handles a guest page fault with interrupts disabled, if no memory is there, and it is nothing but an
/// access to a device. It is [`None`] if it is not: then nothing is done, and it is for [`handle`].
pub(crate) fn handle_at_once(
    vcpu: &LoadedVcpu<'_, Riscv>,
    irq: &LocalInterruptDisabled,
    fault: &GuestPageFault,
) -> Option<Next> {
    let srcu = vcpu.srcu_read_lock();
    match memslot(&srcu, fault) {
        Some(_) => None,
        None => mmio::handle_at_once(vcpu, irq, &srcu, fault),
    }
}

/// Returns the memslot that allows the access.
fn memslot<'a>(srcu: &'a SrcuGuard<'_, Riscv>, fault: &GuestPageFault) -> Option<Memslot<'a>> {
    let slot = srcu.memslot(fault.gpa.gfn())?;
    (slot.is_going() || !(fault.writes() && slot.is_read_only())).then_some(slot)
}

/// Handles a trap of a read that the backend does in the guest's memory on its behalf: has the page
/// there when the guest tries again, or raises what the guest itself would have got.
pub(crate) fn handle_read(vcpu: &LoadedVcpu<'_, Riscv>, trap: &Trap) -> Result<Next> {
    let srcu = vcpu.srcu_read_lock();
    let exception = match trap.decode() {
        Exit::GuestPageFault(fault) => match memslot(&srcu, &fault) {
            Some(slot) => return map(vcpu, &slot, &fault),
            None => Exception::access_fault(Access::Load, trap.stval),
        },
        _ => Exception::of_trap(trap),
    };
    inject(vcpu, exception);
    Ok(Next::Enter)
}

/// Maps a page of a memslot. If something comes in between, the guest faults once more.
fn map(vcpu: &LoadedVcpu<'_, Riscv>, slot: &Memslot<'_>, fault: &GuestPageFault) -> Result<Next> {
    // User space is about to replace the slot. The guest tries until it has.
    if slot.is_going() {
        return Ok(Next::Enter);
    }
    let (gfn, write) = (fault.gpa.gfn(), fault.writes());
    let vm = vcpu.vm();
    let gstage = &vm.backend().gstage;
    let logged = slot.logs_dirty_pages() && !slot.is_read_only();

    let seq = MmuSeq::read(vm);
    if write && logged && make_writable(vcpu, slot, gfn, seq) {
        fence_page(vcpu, gfn);
        return Ok(Next::Enter);
    }

    let mut cache = vcpu.local().cache.try_borrow_mut().map_err(|_| EBUSY)?;
    cache.top_up(vm, gstage.max_new_tables())?;
    let page = match slot.fault_in(gfn, write) {
        Ok(page) => page,
        Err(kvm::PageFault::HwPoison) => {
            signal_hwpoison(slot.hva(gfn));
            return Ok(Next::Enter);
        }
        Err(kvm::PageFault::Signal) => {
            vcpu.run_area().set_exit_reason(ExitReason::Intr);
            vcpu.count(vcpu_counter!(signal_exits));
            return Err(EINTR);
        }
        Err(kvm::PageFault::NoAccess) => return Err(EFAULT),
    };

    let mmu = vm.mmu_write_lock();
    if mmu.must_retry(seq, gfn) {
        return Ok(Next::Enter);
    }
    // While pages are logged, none is writable that the guest has not been seen to write.
    let access = match (page.writable(), write || !logged) {
        (true, true) => pte::Access::Writable,
        (true, false) => pte::Access::Logged,
        (false, _) => pte::Access::ReadOnly,
    };
    let mapping = Mapping {
        gfn,
        pfn: page.pfn(),
        access,
        max_level: if logged {
            Level::PAGE
        } else {
            max_level(&mmu, slot, gfn)
        },
    };
    if access == pte::Access::Writable {
        vm.mark_page_dirty(slot, gfn);
    }
    let flush = match gstage.map(&mmu, &mut cache, mapping) {
        Ok(flush) => flush,
        Err(EAGAIN) => return Ok(Next::Enter),
        Err(e) => return Err(e),
    };
    page.release_mapped(&mmu);
    drop(mmu);

    match flush {
        Flush::None => {}
        Flush::Local => fence_page(vcpu, gfn),
        Flush::Remote => {
            let level = Level::of_leaf(2);
            let start = level.first(gfn.0);
            vm.flush_remote_tlbs(&(Gfn(start)..Gfn(start + level.pages())));
        }
    }
    Ok(Next::Enter)
}

/// Makes a page writable that is mapped but write-protected to be logged. This is what most faults
/// are while user space logs, so it does without the write lock.
fn make_writable(vcpu: &LoadedVcpu<'_, Riscv>, slot: &Memslot<'_>, gfn: Gfn, seq: MmuSeq) -> bool {
    let vm = vcpu.vm();
    let mmu = vm.mmu_read_lock();
    let done = !mmu.must_retry(seq, gfn) && vm.backend().gstage.make_page_writable(&mmu, gfn);
    if done {
        vm.mark_page_dirty(slot, gfn);
    }
    done
}

/// Makes the vCPU's hart forget what it has cached of a page.
fn fence_page(vcpu: &LoadedVcpu<'_, Riscv>, gfn: Gfn) {
    let span = Span::new(gfn.gpa().0, PAGE_SIZE as u64);
    tlb::request_fence(vcpu, Fence::Gpa(span));
}

/// Returns how large a leaf may be that maps `gfn`: the host has to have a page as large, and it has
/// to lie in the memslot, at the same offset in both address spaces.
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
    if !fits(Level::of_leaf(1)) {
        return Level::PAGE;
    }
    let host = Level::of_leaf(mmu.host_leaf_level(slot.hva(gfn)));
    if fits(host) {
        host
    } else {
        Level::of_leaf(1).min(host)
    }
}
