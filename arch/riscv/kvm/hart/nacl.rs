// SPDX-License-Identifier: GPL-2.0

//! The supervisor's side of SBI nested acceleration (SBI specification, chapter 15): the features
//! that the host's SBI offers, and the shared memory of each hart.
//!
//! A hypervisor that is itself a guest traps to the one below on each access to an H CSR and on
//! each HFENCE. Through the shared memory it reads CSRs without a trap, and hands over its writes
//! and fences in batches, at best together with the SRET that enters its guest.
//!
//! The other side is trusted as firmware is, but may have bugs: a word that it writes to the shared
//! memory is used as a value and never as an address, and a call that fails is reported and worked
//! around.

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
use core::ptr;
use kernel::{
    access_once::AccessOnce,
    alloc::AllocError,
    bindings,
    cpu::{
        nr_cpu_ids,
        CpuId, //
    },
    cpumask::Cpumask,
    interrupt::LocalInterruptDisabled,
    kvm::PreemptOff,
    percpu::percpu_static,
    prelude::*,
    static_key::{
        static_key_enabled,
        StaticKey, //
    },
    sync::atomic::Atomic, //
};

/// On if the SBI has shared memory.
static AVAILABLE: StaticKey = StaticKey::new();
/// On if CSRs are written through shared memory.
static SYNC_CSR: StaticKey = StaticKey::new();
/// On if fences are queued in shared memory.
static SYNC_HFENCE: StaticKey = StaticKey::new();
/// On if a call to the SBI enters the guest.
static SYNC_SRET: StaticKey = StaticKey::new();
/// On if that call, and the trap out of the guest, swap HSTATUS.
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
    base: Atomic<*mut u8>,
    /// Whether the memory is in use: the SBI has accepted it.
    set: Atomic<bool>,
    /// Whether the SBI may access the memory, because it has not been told to forget it.
    known: Atomic<bool>,
    /// Whether a CSR has been written there since the SBI last synchronized.
    csr_dirty: Atomic<bool>,
    /// The slots of fences that have been queued, and that the SBI has not been seen to execute:
    /// one bit for each slot.
    queued: Atomic<u64>,
    /// Whether a call that should have executed them has left some pending.
    undone: Atomic<bool>,
    /// The value that was last written to HGATP.
    hgatp: Atomic<u64>,
    /// The HSTATUS that the host runs with. Only KVM changes the register.
    host_hstatus: Atomic<u64>,
}

percpu_static! {
    static SHARED_MEMORY: SharedMemory = SharedMemory {
        base: Atomic::new(ptr::null_mut()),
        set: Atomic::new(false),
        known: Atomic::new(false),
        csr_dirty: Atomic::new(false),
        queued: Atomic::new(0),
        undone: Atomic::new(false),
        hgatp: Atomic::new(0),
        host_hstatus: Atomic::new(0),
    };
}

/// Returns this hart's shared memory, which exists only if [`available`].
#[inline(always)]
pub(crate) fn this_hart<'a>(irq: &'a LocalInterruptDisabled) -> &'a SharedMemory {
    SHARED_MEMORY.get(irq)
}

/// Returns this hart's shared memory, which exists only if [`available`].
#[inline(always)]
pub(crate) fn this_hart_preempt<'a>(preempt: &'a PreemptOff) -> &'a SharedMemory {
    SHARED_MEMORY.get_preempt(preempt)
}

impl SharedMemory {
    #[inline(always)]
    fn word(&self, offset: usize) -> *mut u64 {
        self.base.read_once().wrapping_add(offset).cast()
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

    /// Reads an H CSR. The SBI keeps the CSR space up to date, so this is what the hart would read.
    #[inline(always)]
    pub(crate) fn read_csr<const CSR: u16>(&self) -> u64 {
        self.read_word(const { slot(CSR) }.offset())
    }

    /// Writes an H CSR. The value takes effect when the SBI synchronizes.
    #[inline(always)]
    pub(crate) fn write_csr<const CSR: u16>(&self, value: u64) {
        let slot = const { slot(CSR) };
        let byte = self.base.read_once().wrapping_add(slot.dirty_byte());
        // The mark comes first: whenever the hart traps, the SBI may refresh a word without a mark.
        // SAFETY: The byte lies in the shared memory.
        unsafe { byte.write_volatile(byte.read_volatile() | slot.dirty_mask()) };
        self.write_word(slot.offset(), value);
        self.csr_dirty.write_once(true);
    }

    /// Returns the HSTATUS that the host runs with. It is not read from shared memory: a wrong
    /// value there would make the host return to anywhere.
    #[inline(always)]
    pub(crate) fn host_hstatus(&self) -> u64 {
        self.host_hstatus.read_once()
    }

    /// Makes the SBI swap HSTATUS with `guest` when the guest is entered, and back when it traps.
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

    /// Writes the guest's `x1` to `x31`, for the call that enters it. `gprs` returns `x<n>` for
    /// `n`.
    #[inline(always)]
    pub(crate) fn write_sret_context(&self, gprs: impl Fn(usize) -> u64) {
        let mut x = 1;
        while x < 32 {
            self.write_word(nacl::sret_x(x), gprs(x));
            x += 1;
        }
    }

    /// Remembers the value that has been written to HGATP.
    #[inline(always)]
    pub(crate) fn remember_hgatp(&self, hgatp: Hgatp) {
        self.hgatp.write_once(hgatp.into_raw());
    }

    /// Returns the value that was last written to HGATP. It is not read from shared memory: a wrong
    /// value there would give the guest the memory of somebody else.
    #[inline]
    pub(crate) fn hgatp(&self) -> Hgatp {
        Hgatp::from_raw(self.hgatp.read_once())
    }

    /// Returns whether the memory is in use.
    ///
    /// If the SBI has refused it when the hart came online or woke up, no guest may run on the
    /// hart, and CSRs are accessed by the instructions.
    #[inline(always)]
    pub(crate) fn is_set(&self) -> bool {
        self.set.read_once()
    }

    /// Calls `f` with the memory, if it is in use.
    #[inline(always)]
    pub(crate) fn if_set<R>(&self, f: impl FnOnce(&Self) -> R) -> Option<R> {
        self.is_set().then(|| f(self))
    }

    /// Records that SYNC_SRET has synchronized all CSRs and fences. Fails if a fence is still
    /// pending.
    #[inline(always)]
    pub(crate) fn note_sret_sync(&self) -> Result<(), SbiError> {
        self.csr_dirty.write_once(false);
        self.note_hfences()
    }

    /// Makes CSRs that were written, and fences that were queued, take effect now.
    ///
    /// An entry by a plain SRET depends on them, as does a load from the guest's memory: only the
    /// calls of the extension and SYNC_SRET flush shared memory.
    #[inline]
    pub(crate) fn sync(&self) -> Result<(), SbiError> {
        self.sync_csrs()?;
        self.sync_hfences()
    }

    /// Before SYNC_SRET: retries fences that an earlier call left pending, because SYNC_SRET
    /// reports a failure only after the guest has run.
    #[inline]
    pub(crate) fn retry_undone_hfences(&self) -> Result<(), SbiError> {
        if self.undone.read_once() {
            self.sync_hfences()?;
        }
        Ok(())
    }

    /// Makes CSRs that were written take effect now.
    #[inline]
    pub(crate) fn sync_csrs(&self) -> Result<(), SbiError> {
        if sync_csr() && self.csr_dirty.read_once() {
            // SAFETY: Writes CSRs with values that the kernel means to be there.
            unsafe { firmware::call(nacl::EID, NaclFn::SyncCsr as u64, [SYNC_ALL, 0, 0]) }?;
            self.csr_dirty.write_once(false);
        }
        Ok(())
    }

    /// Makes fences that were queued take effect now.
    #[inline]
    fn sync_hfences(&self) -> Result<(), SbiError> {
        if sync_hfence() && self.queued.read_once() != 0 {
            // SAFETY: Only fences.
            unsafe { firmware::call(nacl::EID, NaclFn::SyncHfence as u64, [SYNC_ALL, 0, 0]) }?;
        }
        self.note_hfences()
    }

    /// Removes the fences that the SBI has executed from `queued`. Fails if others are left: they
    /// stay queued, and no guest may run before they are executed.
    #[inline(always)]
    fn note_hfences(&self) -> Result<(), SbiError> {
        if self.queued.read_once() == 0 {
            return Ok(());
        }
        let mut undone = 0;
        let mut left = self.queued.read_once();
        while left != 0 {
            let index = left.trailing_zeros() as usize;
            if HfenceSlot::new(index).is_some_and(|slot| self.is_pending(slot)) {
                undone |= 1 << index;
            }
            left &= left - 1;
        }
        self.queued.write_once(undone);
        self.undone.write_once(undone != 0);
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

    /// Queues a fence. Returns `false` if it cannot be queued; then the caller executes it.
    ///
    /// Must not be called in an interrupt, which could come while another fence is being queued.
    pub(crate) fn queue_hfence(&self, fence: Hfence) -> bool {
        if !self.is_set() {
            return false;
        }
        let Ok(entry) = HfenceEntry::new(fence) else {
            return false;
        };
        let mut free = self.free_slot();
        if free.is_none() {
            // All slots are in use, so make the SBI execute the fences, and look again. If it does
            // not, the caller executes this fence, and the others make the next entry fail.
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
        self.queued.write_once(self.queued.read_once() | 1 << index);
        true
    }

    fn free_slot(&self) -> Option<(usize, HfenceSlot)> {
        (0..HFENCE_COUNT)
            .filter_map(|index| Some((index, HfenceSlot::new(index)?)))
            .find(|(_, slot)| !self.is_pending(*slot))
    }

    /// Clears the memory, and everything recorded about it.
    fn clear(&self) {
        // SAFETY: By the invariants. The SBI does not know the memory yet, or does not access it
        // before it is called.
        unsafe { ptr::write_bytes(self.base.read_once(), 0, SHMEM_SIZE) };
        self.csr_dirty.write_once(false);
        self.queued.write_once(0);
        self.undone.write_once(false);
    }
}

// A bit for each slot.
const _: () = assert!(HFENCE_COUNT <= u64::BITS as usize);

/// Reports the first error of the SBI; every entry could report one.
#[cold]
pub(crate) fn warn_once(error: SbiError) {
    kernel::pr_err_once!("NACL: synchronization failed: {:?}\n", error);
}

/// Returns the place of an H CSR in the CSR space. Fails to compile for any other CSR.
const fn slot(csr: u16) -> CsrSlot {
    match CsrSlot::new(csr) {
        Some(slot) => slot,
        None => panic!("not an H-extension CSR"),
    }
}

/// The order of the pages that hold a shared memory.
const ORDER: u32 = 2;
const _: () = assert!(SHMEM_SIZE <= kernel::page::PAGE_SIZE << ORDER);

/// The features in use, as the log names them.
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

/// Owns the shared memories of all harts, which are allocated as long as this exists.
pub(crate) struct Nacl(());

impl Nacl {
    /// Allocates shared memory for all harts if the SBI has the extension, and enables its
    /// features.
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
        // If an allocation fails, dropping this frees those before it.
        let nacl = Self(());
        for_each_possible_cpu(|cpu| {
            let gfp = bindings::GFP_KERNEL | bindings::__GFP_ZERO;
            // SAFETY: Always safe to call.
            let addr = unsafe { bindings::get_free_pages_noprof(gfp, ORDER) };
            if addr == 0 {
                return Err(AllocError);
            }
            // INVARIANT: The pages are this hart's.
            SHARED_MEMORY.get_on(cpu).base.write_once(addr as *mut u8);
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
        // Only SYNC_SRET swaps, so without it the feature is useless.
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
            let shmem = SHARED_MEMORY.get_on(cpu);
            let base = shmem.base.read_once();
            shmem.base.write_once(ptr::null_mut());
            if shmem.known.read_once() {
                // The SBI may still write to this memory, so it must not be used for anything else.
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

/// Gives this hart's shared memory to the SBI.
pub(crate) fn enable_cpu(irq: &LocalInterruptDisabled) -> Result<(), SbiError> {
    if !available() {
        return Ok(());
    }
    let shmem = this_hart(irq);
    // If the SBI refuses, no guest may run here.
    shmem.set.write_once(false);
    shmem.clear();
    // SAFETY: The memory is part of the linear mapping.
    let phys = unsafe { bindings::kvm_virt_to_phys(shmem.base.read_once().cast()) };
    // SAFETY: The memory is this hart's, and stays until it is disabled.
    unsafe { firmware::call(nacl::EID, NaclFn::SetShmem as u64, [phys, 0, 0]) }?;
    shmem.known.write_once(true);
    // SAFETY: Reading it has no effect.
    let hstatus = unsafe { csr::read::<{ csr::HSTATUS }>() };
    // What a trap may have left there is not the host's.
    let host = Hstatus::from_raw(hstatus).with_spv(false).with_gva(false);
    shmem.host_hstatus.write_once(host.into_raw());
    shmem.set.write_once(true);
    Ok(())
}

/// Makes everything written to this hart's shared memory take effect.
///
/// This comes before the memory is given up, and before CSRs are written by the instructions, which
/// a later synchronization would overwrite.
pub(crate) fn flush_cpu(irq: &LocalInterruptDisabled) {
    if !available() {
        return;
    }
    if let Err(e) = this_hart(irq).sync() {
        // This happens whenever a hart idles deeply, so report it once.
        kernel::pr_err_once!("NACL: last synchronization failed: {:?}\n", e);
    }
}

/// Takes this hart's shared memory back from the SBI.
pub(crate) fn disable_cpu(irq: &LocalInterruptDisabled) {
    if !available() {
        return;
    }
    let shmem = this_hart(irq);
    shmem.set.write_once(false);
    let args = [SHMEM_DISABLE, SHMEM_DISABLE, 0];
    // SAFETY: The memory is not used any more.
    match unsafe { firmware::call(nacl::EID, NaclFn::SetShmem as u64, args) } {
        Ok(_) => shmem.known.write_once(false),
        Err(e) => pr_err!("NACL: shared memory was not disabled: {:?}\n", e),
    }
}
