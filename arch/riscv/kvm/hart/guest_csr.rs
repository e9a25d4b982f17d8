// SPDX-License-Identifier: GPL-2.0

//! The one way to the H CSRs outside the world switch: NACL shared memory where the platform has
//! it, the CSR instructions elsewhere.
//!
//! The choice is a static key, so a platform without NACL pays nothing for it.

use crate::hart::{
    csr::{
        self,
        Hgatp, //
    },
    nacl::{
        self,
        SharedMemory, //
    },
};
use core::marker::PhantomData;
use kernel::{
    interrupt::LocalInterruptDisabled,
    kvm::{
        backend::VcpuOps,
        LoadedVcpu,
        PreemptOff, //
    },
    num::Bounded, //
};

/// Permission to access the guest CSRs of this hart: preemption is disabled, or a vCPU is loaded,
/// whose CSRs follow the thread from hart to hart.
pub(crate) trait GuestCsrAccess {
    /// Calls `f` with the hart's shared memory if that is [in use](SharedMemory::is_set). The
    /// platform must have shared memory ([`nacl::available`]).
    fn with_shmem<R>(&self, f: impl FnOnce(&SharedMemory) -> R) -> Option<R>;
}

impl GuestCsrAccess for PreemptOff {
    #[inline(always)]
    fn with_shmem<R>(&self, f: impl FnOnce(&SharedMemory) -> R) -> Option<R> {
        nacl::this_hart_preempt(self).if_set(f)
    }
}

impl GuestCsrAccess for LocalInterruptDisabled {
    #[inline(always)]
    fn with_shmem<R>(&self, f: impl FnOnce(&SharedMemory) -> R) -> Option<R> {
        nacl::this_hart(self).if_set(f)
    }
}

impl<B: VcpuOps> GuestCsrAccess for LoadedVcpu<'_, B> {
    #[inline(always)]
    fn with_shmem<R>(&self, f: impl FnOnce(&SharedMemory) -> R) -> Option<R> {
        nacl::this_hart_preempt(&PreemptOff::new()).if_set(f)
    }
}

/// This hart translates for the vCPU that is loaded on it: `hgatp` names the root of its VM, and a
/// VMID under which the hart has nothing of another VM, and `vsatp` is the guest's.
///
/// To run the guest, or to use its translation, takes this. Without it, the guest would access the
/// memory of another one, or that of the host.
pub(crate) struct Translating<'a>(PhantomData<&'a LocalInterruptDisabled>);

impl<'a> Translating<'a> {
    /// # Safety
    ///
    /// A vCPU must be loaded, and what the type says must hold for it until interrupts are enabled.
    #[inline(always)]
    pub(crate) unsafe fn assume(_: &'a LocalInterruptDisabled) -> Self {
        Self(PhantomData)
    }
}

/// Returns whether a CSR may hold any value as far as the host is concerned: it acts only while
/// V=1, and only on the guest's own state.
const fn is_guest_csr(csr: u16) -> bool {
    matches!(
        csr,
        csr::VSSTATUS
            | csr::VSIE
            | csr::VSTVEC
            | csr::VSSCRATCH
            | csr::VSEPC
            | csr::VSCAUSE
            | csr::VSTVAL
            | csr::VSTIMECMP
            | csr::VSISELECT
            | csr::VSATP
            | csr::HTIMEDELTA
            | csr::HVIP
            | csr::HVICTL
            | csr::HVIPRIO1
            | csr::HVIPRIO2
    )
}

/// Reads a CSR of the guest.
#[inline(always)]
pub(crate) fn read<const CSR: u16>(hart: &impl GuestCsrAccess) -> u64 {
    const { assert!(is_guest_csr(CSR)) };
    if nacl::available() {
        if let Some(value) = hart.with_shmem(|shmem| shmem.read_csr::<CSR>()) {
            return value;
        }
    }
    // SAFETY: Reading a CSR of the guest has no effect.
    unsafe { csr::read::<CSR>() }
}

/// Writes a CSR of the guest.
#[inline(always)]
pub(crate) fn write<const CSR: u16>(hart: &impl GuestCsrAccess, value: u64) {
    const { assert!(is_guest_csr(CSR)) };
    // SAFETY: A CSR of the guest holds what the guest or its user space wants it to.
    unsafe { write_any::<CSR>(hart, value) };
}

/// # Safety
///
/// The kernel must stay sound with this value in the CSR.
#[inline(always)]
pub(super) unsafe fn write_any<const CSR: u16>(hart: &impl GuestCsrAccess, value: u64) {
    if nacl::sync_csr() {
        let written = hart.with_shmem(|shmem| shmem.write_csr::<CSR>(value));
        if written.is_some() {
            return;
        }
    }
    // SAFETY: By the requirement.
    unsafe { csr::write::<CSR>(value) };
}

/// Makes `hgatp` translate the guest's physical addresses.
///
/// # Safety
///
/// `hgatp` must name the root of a page table that maps nothing but memory that is the guest's to
/// access, and that outlives its use by this hart.
#[inline(always)]
pub(crate) unsafe fn write_hgatp(hart: &impl GuestCsrAccess, hgatp: Hgatp) {
    // SAFETY: By the requirement.
    unsafe { write_any::<{ csr::HGATP }>(hart, hgatp.into_raw()) };
    if nacl::sync_csr() {
        hart.with_shmem(|shmem| shmem.remember_hgatp(hgatp));
    }
}

/// Makes this hart translate for nobody if `hgatp` names the root table at frame `root`.
///
/// With sync_csr, the register is the hypervisor's below, which walks the table for a guest that
/// runs and for nothing else. Then nothing is done: this is an interrupt, which may have come while
/// the hart writes to shared memory.
///
/// # Safety
///
/// No vCPU of the VM that the root belongs to may be loaded any more: without `hgatp`, its guest
/// would access the memory of the host.
pub(crate) unsafe fn forget_root(_: &LocalInterruptDisabled, root: Bounded<u64, 44>) {
    if nacl::sync_csr() {
        return;
    }
    // SAFETY: The hart has the H extension. With `vsatp` zero first, nothing is walked without the
    // second stage. Whoever enters a guest next writes both, because no vCPU is left whose
    // registers the hart has.
    unsafe {
        if Hgatp::from_raw(csr::read::<{ csr::HGATP }>()).ppn() == root {
            csr::write::<{ csr::VSATP }>(0);
            csr::write::<{ csr::HGATP }>(0);
        }
    }
}

/// Puts the `hgatp` that was last written on the hart: the instruction HFENCE.VVMA acts on the VMID
/// that the hart has there.
#[inline]
pub(crate) fn commit_hgatp(hart: &PreemptOff) {
    if !nacl::sync_csr() {
        return;
    }
    let shmem = nacl::this_hart_preempt(hart);
    if let Err(e) = shmem.sync_csrs() {
        nacl::warn_once(e);
        // SAFETY: `write_hgatp()` has written this value last.
        unsafe { csr::write::<{ csr::HGATP }>(shmem.hgatp().into_raw()) };
    }
}

/// Makes the CSRs that were written take effect on the hart, which is about to run the host alone.
#[inline]
pub(crate) fn commit(hart: &PreemptOff) {
    if nacl::sync_csr() {
        if let Err(e) = nacl::this_hart_preempt(hart).sync_csrs() {
            nacl::warn_once(e);
        }
    }
}
