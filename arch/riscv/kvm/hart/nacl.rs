// SPDX-License-Identifier: GPL-2.0

//! The supervisor's side of SBI nested acceleration (SBI specification, chapter 15): the features
//! that the host's SBI offers, and the shared memory of each hart.
//!
//! A hypervisor that is itself a guest traps to the one below on each access to an H CSR and on
//! each HFENCE. Through the shared memory it reads CSRs without a trap, and hands over its writes
//! and fences in batches, at best together with the SRET that enters its guest.
//!
//! The other side is trusted as firmware is, but not to be free of bugs: what it writes to the
//! shared memory is only ever used as a value, and a call that fails is reported and worked around.

use crate::{
    abi::{
        nacl::{
            self,
            CsrSlot,
            Feature,
            Hfence,
            HfenceEntry,
            HfenceSlot,
            NaclFn,
            AUTOSWAP_FLAGS,
            AUTOSWAP_FLAG_HSTATUS,
            AUTOSWAP_HSTATUS,
            HFENCE_COUNT,
            HFENCE_PENDING,
            SHMEM_SIZE,
            SYNC_ALL, //
        },
        sbi::{
            SbiError,
            SHMEM_DISABLE, //
        },
    },
    hart::{
        csr::{
            self,
            Hgatp,
            Hstatus, //
        },
        firmware, //
    },
};
use core::{
    cell::Cell,
    ptr, //
};
use kernel::{
    alloc::AllocError,
    bindings,
    cpu::{
        nr_cpu_ids,
        CpuId, //
    },
    cpumask::Cpumask,
    interrupt::LocalInterruptDisabled,
    kvm::{
        percpu::percpu_static,
        static_key::{
            static_key_enabled,
            StaticKey, //
        },
        PreemptOff, //
    },
    prelude::*, //
};

/// Shared memory is in use.
static AVAILABLE: StaticKey = StaticKey::new();
/// CSRs are written through shared memory.
static SYNC_CSR: StaticKey = StaticKey::new();
/// Fences are queued in shared memory.
static SYNC_HFENCE: StaticKey = StaticKey::new();
/// The guest is entered by a call.
static SYNC_SRET: StaticKey = StaticKey::new();
/// That call, and the trap out of the guest, swap HSTATUS.
static AUTOSWAP_CSR: StaticKey = StaticKey::new();

/// Returns whether there is shared memory, so that H CSRs can be read without a trap.
#[inline(always)]
pub(crate) fn available() -> bool {
    static_key_enabled!(AVAILABLE)
}

/// Returns whether H CSRs are written through shared memory.
#[inline(always)]
pub(crate) fn sync_csr() -> bool {
    static_key_enabled!(SYNC_CSR)
}

/// Returns whether fences are queued in shared memory.
#[inline(always)]
pub(crate) fn sync_hfence() -> bool {
    static_key_enabled!(SYNC_HFENCE)
}

/// Returns whether the guest is entered by a call to the SBI.
#[inline(always)]
pub(crate) fn sync_sret() -> bool {
    static_key_enabled!(SYNC_SRET)
}

/// Returns whether the SBI swaps HSTATUS when the guest is entered by a call and when it traps.
#[inline(always)]
pub(crate) fn autoswap_csr() -> bool {
    static_key_enabled!(AUTOSWAP_CSR)
}

/// One hart's shared memory.
///
/// # Invariants
///
/// `base` is null, or points to `SHMEM_SIZE` bytes that only this hart and its SBI access.
pub(crate) struct SharedMemory {
    base: Cell<*mut u8>,
    /// The SBI knows the memory, and it is in use.
    set: Cell<bool>,
    /// The SBI may access the memory: it has been told of it, and not yet to forget it.
    known: Cell<bool>,
    /// A CSR has been written there that the SBI has not been told to look at.
    csr_dirty: Cell<bool>,
    /// Slots of fences that have been queued there, and that the SBI has not been seen to do: a bit
    /// each.
    queued: Cell<u64>,
    /// Some of them have been left undone by a call that was to do them.
    undone: Cell<bool>,
    /// What has been written to HGATP last.
    hgatp: Cell<Hgatp>,
    /// The HSTATUS by which the host runs, which nobody but KVM changes.
    host_hstatus: Cell<u64>,
    /// The host's HSTATUS is in the CSR space, and what the trap out of the guest has left is on the
    /// hart still.
    host_hstatus_due: Cell<bool>,
}

// SAFETY: Owned by one hart at a time.
unsafe impl Send for SharedMemory {}

percpu_static! {
    static SHARED_MEMORY: SharedMemory = SharedMemory {
        base: Cell::new(ptr::null_mut()),
        set: Cell::new(false),
        known: Cell::new(false),
        csr_dirty: Cell::new(false),
        queued: Cell::new(0),
        undone: Cell::new(false),
        hgatp: Cell::new(Hgatp::from_raw(0)),
        host_hstatus: Cell::new(0),
        host_hstatus_due: Cell::new(false),
    };
}

/// Returns this hart's shared memory. Only where [`available`] says that there is some.
#[inline(always)]
pub(crate) fn this_hart<'a>(irq: &'a LocalInterruptDisabled) -> &'a SharedMemory {
    SHARED_MEMORY.get(irq)
}

/// Returns this hart's shared memory. Only where [`available`] says that there is some.
#[inline(always)]
pub(crate) fn this_hart_preempt<'a>(preempt: &'a PreemptOff) -> &'a SharedMemory {
    SHARED_MEMORY.get_preempt(preempt)
}

impl SharedMemory {
    #[inline(always)]
    fn word(&self, offset: usize) -> *mut u64 {
        self.base.get().wrapping_add(offset).cast()
    }

    /// Reads the word at `offset`, which lies in the shared memory.
    #[inline(always)]
    fn read_word(&self, offset: usize) -> u64 {
        // SAFETY: By the invariants, and because shared memory is there where it is used.
        u64::from_le(unsafe { self.word(offset).read_volatile() })
    }

    /// Writes the word at `offset`, which lies in the shared memory.
    #[inline(always)]
    fn write_word(&self, offset: usize, value: u64) {
        // SAFETY: As in `read_word()`.
        unsafe { self.word(offset).write_volatile(value.to_le()) };
    }

    /// Reads an H CSR. Always what the hart would read: the SBI keeps the CSR space up to date.
    #[inline(always)]
    pub(crate) fn read_csr<const CSR: u16>(&self) -> u64 {
        self.read_word(const { slot(CSR) }.offset())
    }

    /// Writes an H CSR, to take effect when the SBI synchronizes.
    #[inline(always)]
    pub(crate) fn write_csr<const CSR: u16>(&self, value: u64) {
        let slot = const { slot(CSR) };
        let byte = self.base.get().wrapping_add(slot.dirty_byte());
        // The mark comes first: the SBI may refresh a word without one whenever the hart traps.
        // SAFETY: The byte lies in the shared memory.
        unsafe { byte.write_volatile(byte.read_volatile() | slot.dirty_mask()) };
        self.write_word(slot.offset(), value);
        self.csr_dirty.set(true);
    }

    /// Returns the HSTATUS by which the host runs. Not what is in shared memory: were that wrong, the
    /// host would return to anywhere.
    #[inline(always)]
    pub(crate) fn host_hstatus(&self) -> u64 {
        self.host_hstatus.get()
    }

    /// Has HSTATUS swapped with `guest` when the guest is entered, and back when it traps.
    #[inline(always)]
    pub(crate) fn set_autoswap(&self, guest: u64) {
        self.write_word(AUTOSWAP_HSTATUS, guest);
        self.write_word(AUTOSWAP_FLAGS, AUTOSWAP_FLAG_HSTATUS);
    }

    /// Ends the swapping, and returns the guest's HSTATUS.
    #[inline(always)]
    pub(crate) fn end_autoswap(&self) -> u64 {
        self.write_word(AUTOSWAP_FLAGS, 0);
        self.read_word(AUTOSWAP_HSTATUS)
    }

    /// Writes the guest's `x1` to `x31`, which are `gprs[1..=31]`, for the call that enters it.
    #[inline(always)]
    pub(crate) fn write_sret_context(&self, gprs: impl Fn(usize) -> u64) {
        let mut x = 1;
        while x < 32 {
            self.write_word(nacl::sret_x(x), gprs(x));
            x += 1;
        }
    }

    /// Remembers what has been written to HGATP.
    #[inline(always)]
    pub(crate) fn remember_hgatp(&self, hgatp: Hgatp) {
        self.hgatp.set(hgatp);
    }

    /// Returns what has been written to HGATP last. Not what is in shared memory: were that wrong, the
    /// guest would be in memory of anybody.
    #[inline]
    pub(crate) fn hgatp(&self) -> Hgatp {
        self.hgatp.get()
    }

    /// Returns whether the memory is in use. Where it is not, because the SBI has refused it when the
    /// hart came back, no guest may run, and CSRs are accessed by the instructions.
    #[inline(always)]
    pub(crate) fn is_set(&self) -> bool {
        self.set.get()
    }

    /// Calls `f` with the memory, if it is in use.
    #[inline(always)]
    pub(crate) fn if_set<R>(&self, f: impl FnOnce(&Self) -> R) -> Option<R> {
        self.is_set().then(|| f(self))
    }

    /// Notes that the call that enters the guest has made the SBI look at everything. Fails if it has
    /// left fences undone.
    #[inline(always)]
    pub(crate) fn note_sret_sync(&self) -> Result<(), SbiError> {
        self.csr_dirty.set(false);
        self.note_hfences()
    }

    /// Makes CSRs that were written, and fences that were queued, take effect now.
    ///
    /// For an entry by a plain SRET, and for whatever else depends on them: shared memory is
    /// flushed by its own calls and by SYNC_SRET only.
    #[inline]
    pub(crate) fn sync(&self) -> Result<(), SbiError> {
        self.sync_csrs()?;
        self.sync_hfences()
    }

    /// Has those fences done that an earlier call has left undone, ahead of an entry by SYNC_SRET: what
    /// that one has left undone, it tells too late.
    #[inline]
    pub(crate) fn retry_undone_hfences(&self) -> Result<(), SbiError> {
        if self.undone.get() {
            self.sync_hfences()?;
        }
        Ok(())
    }

    /// Makes CSRs that were written take effect now.
    #[inline]
    pub(crate) fn sync_csrs(&self) -> Result<(), SbiError> {
        if sync_csr() && self.csr_dirty.get() {
            // SAFETY: Writes CSRs with values that the kernel means to be there.
            unsafe { firmware::call(nacl::EID, NaclFn::SyncCsr as u64, [SYNC_ALL, 0, 0]) }?;
            self.csr_dirty.set(false);
            self.host_hstatus_due.set(false);
        }
        Ok(())
    }

    /// Makes fences that were queued take effect now.
    #[inline]
    fn sync_hfences(&self) -> Result<(), SbiError> {
        if sync_hfence() && self.queued.get() != 0 {
            // SAFETY: Only fences.
            unsafe { firmware::call(nacl::EID, NaclFn::SyncHfence as u64, [SYNC_ALL, 0, 0]) }?;
        }
        self.note_hfences()
    }

    /// Forgets the fences that the SBI has done. Fails if there are others: they stay queued, and no
    /// guest is to run before they are done.
    #[inline(always)]
    fn note_hfences(&self) -> Result<(), SbiError> {
        if self.queued.get() == 0 {
            return Ok(());
        }
        let mut undone = 0;
        let mut left = self.queued.get();
        while left != 0 {
            let index = left.trailing_zeros() as usize;
            if HfenceSlot::new(index).is_some_and(|slot| self.is_pending(slot)) {
                undone |= 1 << index;
            }
            left &= left - 1;
        }
        self.queued.set(undone);
        self.undone.set(undone != 0);
        if undone == 0 {
            Ok(())
        } else {
            Err(SbiError::Failed)
        }
    }

    #[inline(always)]
    fn is_pending(&self, slot: HfenceSlot) -> bool {
        self.read_word(slot.config()) & HFENCE_PENDING != 0
    }

    /// Leaves the host's HSTATUS in the CSR space, after a trap out of the guest. It has to be
    /// [settled](Self::settle) before the host executes an SRET that does not end a trap: the hart has
    /// HSTATUS.SPV set, and would go to the guest.
    #[inline(always)]
    pub(crate) fn defer_host_hstatus(&self) {
        self.write_csr::<{ csr::HSTATUS }>(self.host_hstatus());
        self.host_hstatus_due.set(true);
    }

    /// Returns the host's HSTATUS for a caller that puts it on the hart, which may not have it: it may
    /// have been [left](Self::defer_host_hstatus) in the CSR space.
    #[inline(always)]
    pub(crate) fn settled_host_hstatus(&self) -> u64 {
        self.host_hstatus_due.set(false);
        self.host_hstatus()
    }

    /// Ahead of whatever else this hart may do than run the guest: makes what has been written take
    /// effect if the host depends on it, that is its HSTATUS and, if `timer` says so, the guest's timer,
    /// whose interrupt would not let the hart sleep.
    #[inline]
    pub(crate) fn settle(&self, timer: bool) {
        if timer {
            if let Err(e) = self.sync_csrs() {
                warn_once(e);
            }
        }
        if self.host_hstatus_due.replace(false) {
            // SAFETY: This is the host's HSTATUS.
            unsafe { csr::write::<{ csr::HSTATUS }>(self.host_hstatus()) };
        }
    }

    /// Queues a fence. Returns `false` if it cannot be queued, so that the caller has to fence.
    ///
    /// Never in an interrupt, which could come while another fence is being queued.
    pub(crate) fn queue_hfence(&self, fence: Hfence) -> bool {
        if !self.is_set() {
            return false;
        }
        let Ok(entry) = HfenceEntry::new(fence) else {
            return false;
        };
        let mut free = self.free_slot();
        if free.is_none() {
            // All are in use: have the SBI work them off, and look again. If it does not, then this
            // fence is done by the caller, and the others fail the next entry.
            if let Err(e) = self.sync_hfences() {
                warn_once(e);
            }
            free = self.free_slot();
        }
        let Some((index, slot)) = free else {
            return false;
        };
        self.write_word(slot.page_number(), entry.page_number);
        self.write_word(slot.page_count(), entry.page_count);
        // SAFETY: Always safe to call. The SBI must not see the pending bit before the words above
        // (chapter 15, "Feature: Synchronize HFENCE").
        unsafe { bindings::smp_wmb() };
        self.write_word(slot.config(), entry.config);
        self.queued.set(self.queued.get() | 1 << index);
        true
    }

    fn free_slot(&self) -> Option<(usize, HfenceSlot)> {
        (0..HFENCE_COUNT)
            .filter_map(|index| Some((index, HfenceSlot::new(index)?)))
            .find(|(_, slot)| !self.is_pending(*slot))
    }

    /// Makes the memory what it is when nothing has been written to it.
    fn clear(&self) {
        // SAFETY: By the invariants; the SBI does not know the memory yet, or does not look at it
        // before it is called.
        unsafe { ptr::write_bytes(self.base.get(), 0, SHMEM_SIZE) };
        self.csr_dirty.set(false);
        self.queued.set(0);
        self.undone.set(false);
        self.host_hstatus_due.set(false);
    }
}

// A bit for each slot.
const _: () = assert!(HFENCE_COUNT <= u64::BITS as usize);

/// Reports an error of the SBI, the first time that there is one: it may come with every entry.
#[cold]
pub(crate) fn warn_once(error: SbiError) {
    kernel::pr_err_once!("NACL: synchronization failed: {:?}\n", error);
}

/// Returns the place of an H CSR; not compiled for another one.
const fn slot(csr: u16) -> CsrSlot {
    match CsrSlot::new(csr) {
        Some(slot) => slot,
        None => panic!("not an H-extension CSR"),
    }
}

/// The order of the pages that hold a shared memory.
const ORDER: u32 = 2;
const _: () = assert!(SHMEM_SIZE <= kernel::page::PAGE_SIZE << ORDER);

/// Features in use, for the log.
pub(crate) struct Features;

impl kernel::fmt::Display for Features {
    fn fmt(&self, f: &mut kernel::fmt::Formatter<'_>) -> kernel::fmt::Result {
        let mut separator = "";
        for (on, name) in [
            (sync_csr(), "sync_csr"),
            (sync_hfence(), "sync_hfence"),
            (sync_sret(), "sync_sret"),
            (autoswap_csr(), "autoswap_csr"),
        ] {
            if on {
                f.write_str(separator)?;
                f.write_str(name)?;
                separator = ", ";
            }
        }
        if separator.is_empty() {
            f.write_str("no features")?;
        }
        Ok(())
    }
}

/// Proof that the shared memories have been allocated. Frees them when dropped.
pub(crate) struct Nacl(());

impl Nacl {
    /// Looks for the extension, and allocates shared memory for all harts if it is there.
    pub(crate) fn probe() -> Result<Option<Self>> {
        if !firmware::version_at_least(1, 0) || !firmware::has_extension(nacl::EID) {
            return Ok(None);
        }
        let has = |feature: Feature| {
            let args = [feature as u64, 0, 0];
            // SAFETY: Only asks.
            let r = unsafe { firmware::call(nacl::EID, NaclFn::ProbeFeature as u64, args) };
            matches!(r, Ok(1))
        };
        // Frees what has been allocated when that fails half-way.
        let nacl = Self(());
        for_each_possible_cpu(|cpu| {
            let gfp = bindings::GFP_KERNEL | bindings::__GFP_ZERO;
            // SAFETY: Always safe to call.
            let addr = unsafe { bindings::get_free_pages_noprof(gfp, ORDER) };
            if addr == 0 {
                return Err(AllocError);
            }
            // SAFETY: No hart uses its shared memory yet. INVARIANT: The pages are this hart's.
            unsafe { (*SHARED_MEMORY.get_on(cpu)).base.set(addr as *mut u8) };
            Ok(())
        })?;
        AVAILABLE.enable();
        for (feature, key) in [
            (Feature::SyncCsr, &SYNC_CSR),
            (Feature::SyncHfence, &SYNC_HFENCE),
            (Feature::SyncSret, &SYNC_SRET),
        ] {
            if has(feature) {
                key.enable();
            }
        }
        // Swapping happens on SYNC_SRET only, so it is of no use without.
        if sync_sret() && has(Feature::AutoswapCsr) {
            AUTOSWAP_CSR.enable();
        }
        Ok(Some(nacl))
    }
}

impl Drop for Nacl {
    fn drop(&mut self) {
        // Virtualization is off on all harts by now.
        let _ = for_each_possible_cpu(|cpu| {
            // SAFETY: No hart uses its shared memory any more.
            let shmem = unsafe { &*SHARED_MEMORY.get_on(cpu) };
            let base = shmem.base.replace(ptr::null_mut());
            if shmem.known.get() {
                // Memory that the SBI may write to must not be given to anybody else.
                pr_err!(
                    "CPU {}: shared memory could not be disabled, it is leaked\n",
                    cpu.as_u32()
                );
            } else if !base.is_null() {
                // SAFETY: Allocated with this order in `probe()`.
                unsafe { bindings::free_pages(base as usize, ORDER) };
            }
            Ok(())
        });
    }
}

fn for_each_possible_cpu(
    mut f: impl FnMut(CpuId) -> Result<(), AllocError>,
) -> Result<(), AllocError> {
    // SAFETY: The mask of possible CPUs lives for ever and does not change after boot.
    let possible = unsafe { Cpumask::from_raw(&raw const bindings::__cpu_possible_mask) };
    for cpu in (0..nr_cpu_ids()).filter_map(CpuId::from_u32) {
        if possible.test(cpu) {
            f(cpu)?;
        }
    }
    Ok(())
}

/// Tells the SBI of this hart's shared memory.
pub(crate) fn enable_cpu(irq: &LocalInterruptDisabled) -> Result<(), SbiError> {
    if !available() {
        return Ok(());
    }
    let shmem = this_hart(irq);
    // If the SBI refuses, no guest may run here.
    shmem.set.set(false);
    shmem.clear();
    // SAFETY: The memory is part of the linear mapping.
    let phys = unsafe { bindings::kvm_virt_to_phys(shmem.base.get().cast()) };
    // SAFETY: The memory is this hart's, and stays until it is disabled.
    unsafe { firmware::call(nacl::EID, NaclFn::SetShmem as u64, [phys, 0, 0]) }?;
    shmem.known.set(true);
    // SAFETY: Reading it has no effect.
    let hstatus = unsafe { csr::read::<{ csr::HSTATUS }>() };
    // What a trap may have left there is not the host's.
    let host = Hstatus::from_raw(hstatus).with_spv(false).with_gva(false);
    shmem.host_hstatus.set(host.into_raw());
    shmem.set.set(true);
    Ok(())
}

/// Makes what has been written to this hart's shared memory take effect: before it is forgotten, and
/// before what takes another way can be undone by it.
pub(crate) fn flush_cpu(irq: &LocalInterruptDisabled) {
    if !available() {
        return;
    }
    if let Err(e) = this_hart(irq).sync() {
        // Whenever a hart idles deeply: not each time.
        kernel::pr_err_once!("NACL: last synchronization failed: {:?}\n", e);
    }
}

/// Tells the SBI to forget this hart's shared memory.
pub(crate) fn disable_cpu(irq: &LocalInterruptDisabled) {
    if !available() {
        return;
    }
    let shmem = this_hart(irq);
    shmem.set.set(false);
    let args = [SHMEM_DISABLE, SHMEM_DISABLE, 0];
    // SAFETY: The memory is not used any more.
    match unsafe { firmware::call(nacl::EID, NaclFn::SetShmem as u64, args) } {
        Ok(_) => shmem.known.set(false),
        Err(e) => pr_err!("NACL: shared memory was not disabled: {:?}\n", e),
    }
}
