// SPDX-License-Identifier: GPL-2.0

//! Maps frames of a memslot in the guest, when it faults on them.

use crate::{
    abi::pte::{
        Fetch,
        Level,
        Rights,
        Write, //
    },
    hart::{
        cache,
        features,
        guest_files::GuestFile,
        trap::GuestPageFault, //
    },
    mmu::{
        fence_queue::{
            Fence,
            Span, //
        },
        gstage::{
            self,
            Flush, //
        },
        remote_fence,
        table, //
    },
    Riscv, //
};
use kernel::{
    kvm::{
        signal_hwpoison,
        stats::vcpu_counter,
        ActiveMemslot,
        ExitReason,
        FaultedPage,
        Gfn,
        LoadedVcpu,
        Memslot,
        MmuLocked,
        MmuSeq,
        PageFault,
        SrcuGuard,
        Vm, //
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
) -> Option<ActiveMemslot<'a>> {
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
    slot: &ActiveMemslot<'_>,
    fault: &GuestPageFault,
) -> Result {
    if slot.is_invalid() {
        return Ok(());
    }
    let (gfn, write, fetch) = (fault.gpa.gfn(), fault.writes(), fault.fetches());
    let vm = vcpu.vm();
    let logged = slot.logs_dirty_pages() && !slot.is_read_only();

    if (write && logged && make_writable(vcpu, slot, gfn)) || (fetch && make_executable(vcpu, gfn))
    {
        fence_page(vcpu, gfn);
        return Ok(());
    }

    let mut cache = vcpu.local().cache.try_borrow_mut().map_err(|_| EBUSY)?;
    cache.top_up(vm, vm.backend().gstage.max_new_tables())?;
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

    // While pages are logged, a page becomes writable only when the guest has been seen to write
    // it, and pages are mapped one by one.
    let rights = Rights {
        write: match (page.writable(), write || !logged) {
            (true, true) => Write::Allowed,
            (true, false) => Write::Logged,
            (false, _) => Write::Denied,
        },
        fetch: if fetch {
            fence_instructions(vm);
            Fetch::Allowed
        } else {
            Fetch::Traps
        },
    };
    let max_frames = if logged { 1 } else { u64::MAX };
    let max_frames = if features::svpbmt() {
        write_back(vcpu, &page, max_frames)
    } else {
        max_frames
    };

    let mut mmu = vm.mmu_write_lock();
    let flush = match gstage::map(&mut mmu, &mut cache, &page, max_frames, rights) {
        Ok(flush) => flush,
        Err(EAGAIN) => return Ok(()),
        Err(e) => return Err(e),
    };
    if rights.write == Write::Allowed {
        vm.mark_page_dirty(slot, gfn);
    }
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

/// Writes a page back to memory, with its neighbours in a block of at most `max_frames` frames.
/// Returns how many frames may be mapped then.
///
/// The type of memory is the choice of each vCPU, and the page is for all of them, so this does not
/// depend on what the vCPU has that faults.
#[inline(never)]
fn write_back(vcpu: &LoadedVcpu<'_, Riscv>, page: &FaultedPage<'_>, max_frames: u64) -> u64 {
    let Some(block) = page.kernel_block(vcpu.vm(), max_frames) else {
        return max_frames;
    };
    cache::write_back(&block);
    block.frames()
}

/// Makes a page writable that is mapped, but write-protected for the log. Returns `false` if there
/// is no such page.
///
/// Most faults are of this kind while user space logs, so it takes the lock for reading only.
fn make_writable(vcpu: &LoadedVcpu<'_, Riscv>, slot: &Memslot<'_>, gfn: Gfn) -> bool {
    let vm = vcpu.vm();
    let seq = MmuSeq::read(vm);
    let mmu = vm.mmu_read_lock();
    let done = !mmu.must_retry(seq, gfn) && gstage::make_page_writable(&mmu, gfn);
    if done {
        vm.mark_page_dirty(slot, gfn);
    }
    done
}

/// Lets the guest fetch from a page that is mapped for data. Returns `false` if there is no such
/// page.
#[cold]
fn make_executable(vcpu: &LoadedVcpu<'_, Riscv>, gfn: Gfn) -> bool {
    let vm = vcpu.vm();
    let seq = MmuSeq::read(vm);
    // The fence is for what is mapped now, and comes before the right to fetch from it.
    let Some(seen) = gstage::leaf(&vm.mmu_read_lock(), gfn) else {
        return false;
    };
    fence_instructions(vm);
    let mmu = vm.mmu_read_lock();
    !mmu.must_retry(seq, gfn) && gstage::make_executable(&mmu, gfn, seen)
}

/// Makes all vCPUs execute FENCE.I before they run the guest any further.
///
/// A cache of instructions may hold what a frame has contained before, for another guest or for a
/// process, and need not follow stores. The guest executes FENCE.I for what it writes, but cannot
/// know when the host gives it another frame. So pages are mapped for data, and the first fetch
/// from one traps. A vCPU that comes to another hart later executes FENCE.I in any case.
#[cold]
fn fence_instructions(vm: &Vm<Riscv>) {
    remote_fence::fence_i(vm, vm.vcpus());
}

/// Drops what the vCPU's hart has cached of a page, before the vCPU enters the guest again.
fn fence_page(vcpu: &LoadedVcpu<'_, Riscv>, gfn: Gfn) {
    let span = Span::new(gfn.gpa().0, PAGE_SIZE as u64);
    remote_fence::queue(vcpu, Fence::Gpa(span));
}

/// Maps the page of a guest interrupt file at `gfn`, so that the guest stores messages to it
/// without an exit. From then on, nobody stores to what was mapped there before.
///
/// Where user space has put memory, the guest has that, and messages do not come this way.
///
/// # Errors
///
/// [`ENOMEM`].
pub(crate) fn map_guest_file(vcpu: &LoadedVcpu<'_, Riscv>, gfn: Gfn, file: &GuestFile) -> Result {
    let vm = vcpu.vm();
    let mut cache = vcpu.local().cache.try_borrow_mut().map_err(|_| EBUSY)?;
    cache.top_up(vm, vm.backend().gstage.max_new_tables())?;
    match table::map_guest_file(&mut vm.mmu_write_lock(), &mut cache, gfn, file) {
        Ok(()) | Err(EFAULT | EEXIST) => {}
        Err(e) => return Err(e),
    }
    vm.flush_remote_tlbs(&(gfn..Gfn(gfn.0 + 1)));
    Ok(())
}

/// Unmaps the page of a guest interrupt file at `gfn`. From then on, nobody stores to it.
pub(crate) fn unmap_guest_file(vm: &Vm<Riscv>, gfn: Gfn) {
    gstage::unmap(&mut vm.mmu_write_lock(), gfn..Gfn(gfn.0 + 1), true);
}
