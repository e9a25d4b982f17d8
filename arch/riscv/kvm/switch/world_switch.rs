// SPDX-License-Identifier: GPL-2.0

//! The world switch: into the guest, and out of it with its next trap.
//!
//! `switch_to.S` moves the GPRs, SSTATUS, SEPC, STVEC and SSCRATCH. HSTATUS is swapped here, around
//! it, on the cheapest path that the platform offers:
//!
//! | platform | before entry | after exit |
//! | --- | --- | --- |
//! | NACL sync_sret + autoswap_csr | guest's value to the swap area | guest's value from there |
//! | NACL sync_sret + sync_csr | guest's value to the CSR space | guest's from there, `csrw` |
//! | NACL sync_sret alone | `csrw` | `csrrw` |
//! | no NACL, or no sync_sret | `csrrw` | `csrrw` |
//!
//! A trap out of the guest leaves HSTATUS.SPV set on the hart. A trap of the host would clear the
//! bit, so the host's value could wait in the CSR space until the vCPU is put. But some hypervisors
//! that offer NACL leave SPV standing when they deliver an interrupt to the host, whose return from
//! the interrupt then enters the guest. So the host's value is written to the hart before
//! interrupts are enabled, which costs one access on this one platform.
//!
//! HTVAL and HTINST come from the CSR space wherever there is one.
//!
//! SPVP is the only field of the guest's HSTATUS that the hardware changes and KVM keeps. All
//! others are ignored when the register is read.
//!
//! The choice is a set of static keys, patched once when the module is loaded.

use crate::{
    abi::sbi::SbiError,
    hart::{
        csr::{
            self,
            Hstatus, //
        },
        nacl::{
            self,
            SharedMemory, //
        },
    },
    switch::regs::Regs, //
};
use kernel::{
    bindings,
    interrupt::LocalInterruptDisabled, //
};

/// The error of an SBI that has not entered the guest, or has entered it without executing a fence.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EntryFailed(pub(crate) i64);

impl From<SbiError> for EntryFailed {
    #[inline(always)]
    fn from(error: SbiError) -> Self {
        Self(error.raw() as i64)
    }
}

/// Prepares shared memory for the entry. May be traced, so it runs before RCU stops watching.
#[inline(always)]
pub(crate) fn prepare(irq: &LocalInterruptDisabled) -> Result<(), EntryFailed> {
    if nacl::available() {
        prepare_shmem(nacl::this_hart(irq))?;
    }
    Ok(())
}

#[cold]
#[inline(never)]
fn prepare_shmem(shmem: &SharedMemory) -> Result<(), EntryFailed> {
    if !shmem.is_set() {
        return Err(EntryFailed::from(SbiError::NoShmem));
    }
    if nacl::sync_sret() {
        shmem.retry_undone_hfences()?;
    } else {
        // A plain SRET flushes nothing of what was written to shared memory, so the hart would
        // enter whatever guest the CSRs describe without it.
        shmem.sync()?;
    }
    Ok(())
}

/// Enters the guest on the platform's path, and returns HTVAL and HTINST of the trap that ends the
/// stay.
///
/// The caller reads SCAUSE and STVAL.
///
/// # Safety
///
/// The vCPU must be loaded, this hart must translate for it, and the kernel must know that a guest
/// runs. [`prepare`] must have returned [`Ok`] since anything was last written to shared memory.
#[inline(always)]
pub(crate) unsafe fn switch(
    regs: Regs<'_>,
    irq: &LocalInterruptDisabled,
) -> Result<(u64, u64), EntryFailed> {
    if nacl::sync_sret() {
        switch_by_nacl(regs, irq)
    } else {
        switch_by_sret(regs, irq)
    }
}

/// Enters by SRET. Returns HTVAL and HTINST.
#[inline(always)]
fn switch_by_sret(regs: Regs<'_>, irq: &LocalInterruptDisabled) -> Result<(u64, u64), EntryFailed> {
    // SAFETY: `vcpu::reset()` has made the guest's HSTATUS, in which only SPVP changes, and the
    // host's is restored. The vCPU is loaded, and interrupts are disabled.
    unsafe {
        let host = csr::swap::<{ csr::HSTATUS }>(regs.hstatus().into_raw());
        bindings::__kvm_riscv_rust_switch_to(regs.arch());
        note_hstatus(regs, csr::swap::<{ csr::HSTATUS }>(host));
        if !nacl::available() {
            return Ok((
                csr::read::<{ csr::HTVAL }>(),
                csr::read::<{ csr::HTINST }>(),
            ));
        }
    }
    Ok(shared_htval_htinst(nacl::this_hart(irq)))
}

/// Enters by the SBI call SYNC_SRET. Returns HTVAL and HTINST, from shared memory.
#[inline(always)]
fn switch_by_nacl(regs: Regs<'_>, irq: &LocalInterruptDisabled) -> Result<(u64, u64), EntryFailed> {
    let shmem = nacl::this_hart(irq);
    let guest = regs.hstatus().into_raw();

    if nacl::autoswap_csr() {
        shmem.set_autoswap(guest);
    } else if nacl::sync_csr() {
        shmem.write_csr::<{ csr::HSTATUS }>(guest);
    } else {
        // SAFETY: As in `switch_by_sret()`.
        unsafe { csr::write::<{ csr::HSTATUS }>(guest) };
    }

    shmem.write_sret_context(|n| regs.x(n));
    // SAFETY: The SRET context holds the guest's registers; the rest is as in `switch_by_sret()`.
    let error = unsafe { bindings::__kvm_riscv_rust_nacl_switch_to(regs.arch()) };
    if error != 0 {
        restore_hstatus(shmem);
        return Err(EntryFailed(error as i64));
    }

    let guest = if nacl::autoswap_csr() {
        shmem.end_autoswap()
    } else if nacl::sync_csr() {
        let guest = shmem.read_csr::<{ csr::HSTATUS }>();
        // SAFETY: This is the host's HSTATUS.
        unsafe { csr::write::<{ csr::HSTATUS }>(shmem.host_hstatus()) };
        guest
    } else {
        // SAFETY: As in `switch_by_sret()`.
        unsafe { csr::swap::<{ csr::HSTATUS }>(shmem.host_hstatus()) }
    };
    note_hstatus(regs, guest);
    // If a fence was left pending, the guest has run with stale translations. The trap is dropped,
    // and the guest executes the trapping instruction again.
    shmem.note_sret_sync()?;
    Ok(shared_htval_htinst(shmem))
}

/// Restores the host's HSTATUS after a failed SYNC_SRET, at whatever point it failed.
#[inline(always)]
fn restore_hstatus(shmem: &SharedMemory) {
    let host = shmem.host_hstatus();
    if nacl::autoswap_csr() {
        shmem.end_autoswap();
    } else if nacl::sync_csr() {
        shmem.write_csr::<{ csr::HSTATUS }>(host);
    }
    // SAFETY: This is the host's HSTATUS.
    unsafe { csr::write::<{ csr::HSTATUS }>(host) };
}

/// Reads HTVAL and HTINST where there is shared memory.
#[inline(always)]
fn shared_htval_htinst(shmem: &SharedMemory) -> (u64, u64) {
    (
        shmem.read_csr::<{ csr::HTVAL }>(),
        shmem.read_csr::<{ csr::HTINST }>(),
    )
}

/// Takes over the field that the trap has changed in the guest's HSTATUS.
#[inline(always)]
fn note_hstatus(regs: Regs<'_>, trapped: u64) {
    let spvp = Hstatus::from_raw(trapped).spvp();
    regs.set_hstatus(regs.hstatus().with_spvp(spvp));
}
