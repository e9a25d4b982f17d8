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
        gstage, remote_fence,
        table::{
            self,
            replace_table,
            Mapped, //
        },
    },
    Riscv, //
};
use core::cell::Cell;
use kernel::{
    bindings,
    current,
    kvm::{
        signal_hwpoison,
        stats::vcpu_counter,
        ActiveMemslot,
        Backing,
        ExitReason,
        FaultedPage,
        Gfn,
        Gpa,
        LoadedVcpu,
        MemoryCache,
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
/// [`EINTR`] if a signal came first, which is the exit reason then; [`EFAULT`] if user space has no
/// memory there, and `EHWPOISON` if that of a `guest_memfd` is broken, and the exit reason is a
/// memory fault then; [`ENOMEM`].
#[inline(always)]
pub(crate) fn map(
    vcpu: &LoadedVcpu<'_, Riscv>,
    slot: &ActiveMemslot<'_>,
    fault: &GuestPageFault,
) -> Result {
    let result = map_frame(vcpu, slot, fault.gpa.gfn(), fault.writes(), fault.fetches());
    match result {
        Err(e) if e == EINTR => {
            vcpu.run_area().set_exit_reason(ExitReason::Intr);
            vcpu.count(vcpu_counter!(signal_exits));
            Err(EINTR)
        }
        // The signal tells where user space has the memory mapped, if it has.
        Err(e) if e == hwpoison() && !slot.has_guest_memfd() => {
            signal_hwpoison(vcpu.vm(), slot.hva(fault.gpa.gfn()));
            Ok(())
        }
        Err(e) if e == EFAULT || e == hwpoison() => {
            vcpu.run_area()
                .exit_memory_fault(fault.gpa.gfn().gpa(), PAGE_SIZE);
            Err(e)
        }
        other => other,
    }
}

/// Returns the error of memory that is broken. The kernel crate of 7.2 has no name for it.
#[cold]
fn hwpoison() -> Error {
    Error::from_errno(-(bindings::EHWPOISON as i32))
}

/// Maps the memory at `gpa` as if the guest had read it. Returns how many bytes from `gpa` on the
/// leaf maps.
///
/// # Errors
///
/// [`ENOENT`] if there is no memory for the guest, [`EAGAIN`] if user space is about to replace it,
/// [`EINTR`] if a signal came first, [`EFAULT`] if user space has no memory there, `EHWPOISON` if
/// the memory is broken, [`ENOMEM`].
pub(crate) fn pre_fault(vcpu: &LoadedVcpu<'_, Riscv>, gpa: Gpa) -> Result<u64> {
    let srcu = vcpu.srcu_read_lock();
    let (vm, gfn) = (vcpu.vm(), gpa.gfn());
    let slot = srcu.memslot(gfn).ok_or(ENOENT)?;
    if slot.is_invalid() {
        return Err(EAGAIN);
    }
    loop {
        if let Some(level) = gstage::leaf_level(&vm.mmu_read_lock(), gfn) {
            return Ok(level.size() - gpa.0 % level.size());
        }
        map_frame(vcpu, &slot, gfn, false, false)?;
        // The host may change the frame again and again.
        if current!().signal_pending() {
            return Err(EINTR);
        }
    }
}

/// Maps a frame of `slot` for a read, a write, or a fetch.
///
/// # Errors
///
/// As for [`pre_fault`].
fn map_frame(
    vcpu: &LoadedVcpu<'_, Riscv>,
    slot: &ActiveMemslot<'_>,
    gfn: Gfn,
    write: bool,
    fetch: bool,
) -> Result {
    if slot.is_invalid() {
        return Ok(());
    }
    let vm = vcpu.vm();
    let logged = slot.logs_dirty_pages() && !slot.is_read_only();

    let more_rights = if write && logged {
        make_writable(vcpu, slot, gfn)
    } else if fetch {
        make_executable(vcpu, gfn)
    } else {
        None
    };
    if let Some(mapped) = more_rights {
        fence_mapped(vcpu, gfn, &mapped);
        return Ok(());
    }

    let mut cache = vcpu.local().cache.try_borrow_mut().map_err(|_| EBUSY)?;
    cache.top_up(vm, vm.backend().gstage.max_new_tables())?;
    let wanted = Wanted {
        gfn,
        write,
        fetch: Fetch::Traps,
        logged,
    };
    // A page may have come to the host without an invalidation, after the fence for instructions.
    if !fetch {
        let lookups = &vcpu.local().host_lookups;
        if lookups.are_worth_it() && map_mapped(vcpu, slot, &wanted, &mut cache, map_neighbours)? {
            lookups.has_found();
            return Ok(());
        }
        lookups.has_missed();
        if write && map_touched(vcpu, slot, &wanted, &mut cache)? {
            return Ok(());
        }
    }
    let page = match slot.fault_in(gfn, write) {
        Ok(page) => page,
        Err(PageFault::HwPoison) => return Err(hwpoison()),
        Err(PageFault::Signal) => return Err(EINTR),
        Err(PageFault::NoAccess) => return Err(EFAULT),
        Err(PageFault::NoMemory) => return Err(ENOMEM),
    };
    let wanted = Wanted {
        fetch: if fetch {
            fence_instructions(vm);
            Fetch::Allowed
        } else {
            Fetch::Traps
        },
        ..wanted
    };
    let max_frames = wanted.max_frames();
    let max_frames = if features::svpbmt() {
        write_back(vcpu, &page, max_frames)
    } else {
        max_frames
    };
    let rights = wanted.rights(page.writable());

    let mmu = vm.mmu_read_lock();
    let mapped = {
        let Some(backing) = mmu.backing(&page, max_frames) else {
            return Ok(());
        };
        gstage::map(&backing, &mut cache, rights)?
    };
    match mapped {
        Mapped::Table => {
            drop(mmu);
            let mut mmu = vm.mmu_write_lock();
            if replace_table(&mut mmu, &page, max_frames, rights) {
                page.release_mapped(&mmu);
            }
            drop(mmu);
            table::free_many_retired(vm);
            // With tables replaced, nothing is logged.
            return Ok(());
        }
        Mapped::NoPage => return Ok(()),
        Mapped::New | Mapped::Changed | Mapped::Same | Mapped::Moved => {}
    }
    if rights.write == Write::Allowed {
        vm.mark_page_dirty(slot, gfn);
    }
    page.release_mapped(&mmu);
    drop(mmu);
    fence_mapped(vcpu, gfn, &mapped);
    Ok(())
}

/// How often in a row a vCPU has faulted on pages that the host's page table did not have.
///
/// A guest that touches memory for the first time does so page after page, and to look for them is
/// in vain. So after some misses, only each fourth fault looks.
pub(crate) struct HostLookups(Cell<u8>);

impl HostLookups {
    /// As many misses in a row may be chance, and then one fault of as many looks.
    const FEW: u8 = 4;

    /// Returns the state of a vCPU that has never run.
    pub(crate) fn new() -> Self {
        Self(Cell::new(0))
    }

    #[inline]
    fn are_worth_it(&self) -> bool {
        self.0.get() <= Self::FEW
    }

    #[inline]
    fn has_found(&self) {
        self.0.set(0);
    }

    #[inline]
    fn has_missed(&self) {
        let misses = self.0.get().wrapping_add(1);
        self.0.set(if misses < 2 * Self::FEW {
            misses
        } else {
            Self::FEW
        });
    }
}

/// What a fault asks for.
struct Wanted {
    gfn: Gfn,
    /// Whether the guest has written.
    write: bool,
    fetch: Fetch,
    /// Whether writes to the slot are logged.
    logged: bool,
}

impl Wanted {
    /// Returns the number of frames that may be mapped by one leaf.
    ///
    /// While writes are logged, pages are mapped one by one.
    #[inline(always)]
    fn max_frames(&self) -> u64 {
        if self.logged {
            1
        } else {
            u64::MAX
        }
    }

    /// Returns the rights of the leaf, for memory that the host lets be written or not.
    ///
    /// While writes are logged, a page becomes writable only when the guest has been seen to write
    /// it.
    #[inline(always)]
    fn rights(&self, writable: bool) -> Rights {
        Rights {
            write: match (writable, self.write || !self.logged) {
                (true, true) => Write::Allowed,
                (true, false) => Write::Logged,
                (false, _) => Write::Denied,
            },
            fetch: self.fetch,
        }
    }
}

/// Maps the frame as the host's own page tables have it, if they do, and calls `then` if a page is
/// newly mapped. Returns whether that is all.
///
/// Most faults are on memory that the host has: it has been used by user space, was restored or
/// preallocated, or was unmapped for a reason that has passed.
#[inline(always)]
fn map_mapped(
    vcpu: &LoadedVcpu<'_, Riscv>,
    slot: &ActiveMemslot<'_>,
    wanted: &Wanted,
    cache: &mut MemoryCache,
    then: impl FnOnce(&MmuLocked<'_, Riscv>, &ActiveMemslot<'_>, &Wanted),
) -> Result<bool> {
    let (vm, gfn) = (vcpu.vm(), wanted.gfn);
    let mmu = vm.mmu_read_lock();
    let mapped = {
        let Some(backing) = mmu.mapped(slot, gfn, wanted.max_frames()) else {
            return Ok(false);
        };
        if wanted.write && !backing.writable() {
            return Ok(false);
        }
        if features::svpbmt() {
            // A block is written back without the lock.
            if backing.frames() > 1 {
                return Ok(false);
            }
            write_back_page(&backing);
        }
        let rights = wanted.rights(backing.writable());
        let mapped = gstage::map(&backing, cache, rights)?;
        match mapped {
            Mapped::New if backing.frames() == 1 => then(&mmu, slot, wanted),
            Mapped::New | Mapped::Changed | Mapped::Same | Mapped::Moved => {}
            Mapped::Table => return Ok(false),
            // The guest faults again, and the cache is filled.
            Mapped::NoPage => return Ok(true),
        }
        if rights.write == Write::Allowed {
            vm.mark_page_dirty(slot, gfn);
        }
        mapped
    };
    drop(mmu);
    fence_mapped(vcpu, gfn, &mapped);
    Ok(true)
}

/// Maps the frame after the host has brought it in, if that is [simple](ActiveMemslot::touch).
/// Returns whether that is all.
///
/// Only stores are worth it: what the host brings in for a load, where nothing was, is the page of
/// zeroes, which [`map_mapped`] does not take. Neighbours would be looked for in vain, as a rule:
/// where the host has not had the page, it has not had the next one either.
#[inline(never)]
fn map_touched(
    vcpu: &LoadedVcpu<'_, Riscv>,
    slot: &ActiveMemslot<'_>,
    wanted: &Wanted,
    cache: &mut MemoryCache,
) -> Result<bool> {
    Ok(slot.touch(wanted.gfn) && map_mapped(vcpu, slot, wanted, cache, |_, _, _| ())?)
}

/// Maps neighbours of the page that the guest has faulted on.
#[inline]
fn map_neighbours(mmu: &MmuLocked<'_, Riscv>, slot: &ActiveMemslot<'_>, wanted: &Wanted) {
    let wanted = Wanted {
        write: false,
        ..*wanted
    };
    gstage::map_neighbours(mmu, slot, wanted.gfn, |backing| {
        if features::svpbmt() {
            write_back_page(backing);
        }
        wanted.rights(backing.writable())
    });
}

/// Fences what mapping the page at `gfn` has changed.
#[inline(always)]
fn fence_mapped(vcpu: &LoadedVcpu<'_, Riscv>, gfn: Gfn, mapped: &Mapped) {
    match mapped {
        Mapped::New | Mapped::Table | Mapped::NoPage => {}
        Mapped::Changed => fence_page(vcpu, gfn),
        Mapped::Same => fence_spurious(vcpu, gfn),
        Mapped::Moved => {
            // The largest leaf that there can be.
            let level = Level::GIGAPAGE;
            let start = level.first(gfn.0);
            vcpu.vm()
                .flush_remote_tlbs(&(Gfn(start)..Gfn(start + level.pages())));
        }
    }
}

/// Writes a page back to memory that the host has mapped.
#[inline(never)]
fn write_back_page(backing: &Backing<'_, Riscv>) {
    if let Some(page) = backing.kernel_page() {
        cache::write_back(&page);
    }
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

/// Makes a page writable that is mapped, but write-protected for the log. Returns [`None`] if there
/// is no such page.
///
/// Most faults are of this kind while user space logs, so it takes the lock for reading only.
fn make_writable(vcpu: &LoadedVcpu<'_, Riscv>, slot: &Memslot<'_>, gfn: Gfn) -> Option<Mapped> {
    let vm = vcpu.vm();
    let seq = MmuSeq::read(vm);
    let mmu = vm.mmu_read_lock();
    if mmu.must_retry(seq, gfn) {
        return None;
    }
    let mapped = gstage::make_page_writable(&mmu, gfn)?;
    vm.mark_page_dirty(slot, gfn);
    Some(mapped)
}

/// Lets the guest fetch from a page that is mapped for data. Returns [`None`] if there is no such
/// page.
#[cold]
fn make_executable(vcpu: &LoadedVcpu<'_, Riscv>, gfn: Gfn) -> Option<Mapped> {
    let vm = vcpu.vm();
    let seq = MmuSeq::read(vm);
    // The fence is for what is mapped now, and comes before the right to fetch from it.
    let seen = gstage::leaf(&vm.mmu_read_lock(), gfn)?;
    fence_instructions(vm);
    let mmu = vm.mmu_read_lock();
    if mmu.must_retry(seq, gfn) {
        return None;
    }
    gstage::make_executable(&mmu, gfn, seen)
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

/// Drops what made the guest fault on a page that is mapped as it should be.
///
/// That is an older entry of the page, as a rule. If the guest then faults on the same page again,
/// it is a pointer to a table that is gone, which a fence of one address need not drop.
#[cold]
fn fence_spurious(vcpu: &LoadedVcpu<'_, Riscv>, gfn: Gfn) {
    if vcpu.local().spurious.replace(Some(gfn)) == Some(gfn) {
        remote_fence::queue(vcpu, Fence::AllGpas);
    } else {
        fence_page(vcpu, gfn);
    }
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
    match table::map_guest_file(&vm.mmu_write_lock(), &mut cache, gfn, file) {
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
