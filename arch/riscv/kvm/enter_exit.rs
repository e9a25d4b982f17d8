// SPDX-License-Identifier: GPL-2.0

//! The world switch: into the guest, and out of it with its next trap.
//!
//! Between the two calls that tell the kernel of a stay in the guest, RCU does not watch, so
//! everything there is in `.noinstr.text` or inlined into it, and calls nothing that could be
//! instrumented.
//!
//! # HSTATUS
//!
//! `world_switch.S` moves the GPRs, SSTATUS, SEPC, STVEC and SSCRATCH. HSTATUS is swapped here,
//! around it, on the cheapest path that the platform offers:
//!
//! | platform | before entry | after exit |
//! | --- | --- | --- |
//! | NACL sync_sret + autoswap_csr | put the guest's value in the autoswap area | read it from there |
//! | NACL sync_sret + sync_csr | put the guest's value in the CSR space | swap it there for the host's |
//! | NACL sync_sret alone | `csrw` | `csrrw` |
//! | no NACL, or no sync_sret | `csrrw` | `csrrw` |
//!
//! HTVAL and HTINST come from the CSR space wherever there is one.
//!
//! Of the guest's HSTATUS, all that the hardware changes for KVM is SPVP: nothing else is taken from
//! what is read.
//!
//! The choice is a set of static keys, patched once when the module is loaded.

use crate::{
    csr::{
        self,
        Hstatus, //
    },
    exit::Trap,
    features,
    nacl::{
        self,
        SharedMemory, //
    },
    regs::Regs,
    Riscv, //
};
use core::cell::Cell;
use kernel::{
    bindings,
    interrupt::LocalInterruptDisabled,
    kvm::{
        context::{
            guest_state_enter,
            guest_state_exit, //
        },
        LoadedVcpu, //
    },
};

/// Why the guest was not entered: the SBI has returned from SYNC_SRET, with this error.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EntryFailed(pub(crate) i64);

/// Runs the guest until it traps.
///
/// What the trap left in the CSRs is read before interrupts are enabled again: the next trap
/// overwrites it.
#[link_section = ".noinstr.text"]
#[inline(never)]
pub(crate) fn enter_exit(
    vcpu: &LoadedVcpu<'_, Riscv>,
    env: &Cell<Env>,
    irq: &LocalInterruptDisabled,
) -> Result<Trap, EntryFailed> {
    let regs = Regs::of(vcpu);

    let host_env = swap_env(env.get());
    guest_state_enter(irq);

    let result = if nacl::sync_sret() {
        switch_by_nacl(regs, irq)
    } else {
        switch_by_sret(regs, irq)
    };
    // SAFETY: Reading these has no effect. The hart has them, as it has the H extension.
    let (scause, stval) = unsafe {
        (
            csr::read::<{ csr::SCAUSE }>(),
            csr::read::<{ csr::STVAL }>(),
        )
    };

    guest_state_exit(irq);
    env.set(swap_env(host_env));

    result.map(|(htval, htinst)| Trap {
        sepc: regs.sepc(),
        scause,
        stval,
        htval,
        htinst,
    })
}

/// Enters by SRET. Returns HTVAL and HTINST.
#[inline(always)]
fn switch_by_sret(regs: Regs<'_>, irq: &LocalInterruptDisabled) -> Result<(u64, u64), EntryFailed> {
    if nacl::available() {
        // A plain SRET flushes nothing of what was written to shared memory. Without that, the hart
        // would go to somebody else's guest, or to nobody's.
        if let Err(e) = nacl::this_hart(irq).sync() {
            return Err(EntryFailed(e.raw() as i64));
        }
    }
    // SAFETY: The guest's HSTATUS has been made by `reset_regs()`, or by the hardware when the
    // guest trapped, and the host's is put back. The vCPU is loaded, and interrupts are disabled.
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
    if error == 0 {
        shmem.synced_by_sret();
    }

    let host = shmem.host_hstatus();
    let guest = if nacl::autoswap_csr() {
        shmem.take_autoswap()
    } else if nacl::sync_csr() {
        let guest = shmem.read_csr::<{ csr::HSTATUS }>();
        shmem.write_csr::<{ csr::HSTATUS }>(host);
        guest
    } else {
        // SAFETY: As in `switch_by_sret()`.
        unsafe { csr::swap::<{ csr::HSTATUS }>(host) }
    };

    if error != 0 {
        return Err(EntryFailed(error as i64));
    }
    note_hstatus(regs, guest);
    Ok(shared_htval_htinst(shmem))
}

/// Reads HTVAL and HTINST where there is shared memory.
#[inline(always)]
fn shared_htval_htinst(shmem: &SharedMemory) -> (u64, u64) {
    (
        shmem.read_csr::<{ csr::HTVAL }>(),
        shmem.read_csr::<{ csr::HTINST }>(),
    )
}

/// Notes what the trap has left in HSTATUS.
#[inline(always)]
fn note_hstatus(regs: Regs<'_>, trapped: u64) {
    let spvp = Hstatus::from_raw(trapped).spvp();
    regs.set_hstatus(regs.hstatus().with_spvp(spvp));
}

/// The CSRs that VS-mode and HS-mode share under one name, so that they belong to whoever runs.
#[derive(Clone, Copy)]
pub(crate) struct Env {
    /// Counters that U-mode may read.
    pub(crate) scounteren: u64,
    /// Features that U-mode may use.
    pub(crate) senvcfg: u64,
    /// State that U-mode may use.
    pub(crate) sstateen0: u64,
}

impl Env {
    /// The values after a reset.
    pub(crate) const RESET: Self = Self {
        scounteren: 0,
        senvcfg: 0,
        sstateen0: 0,
    };
}

/// Puts one set of these CSRs in place, and returns the other.
#[inline(always)]
fn swap_env(env: Env) -> Env {
    // SAFETY: They act on U-mode only, of the guest for as long as it runs. The hart has those that
    // are accessed.
    unsafe {
        Env {
            scounteren: csr::swap::<{ csr::SCOUNTEREN }>(env.scounteren),
            senvcfg: csr::swap::<{ csr::SENVCFG }>(env.senvcfg),
            sstateen0: if features::smstateen() {
                csr::swap::<{ csr::SSTATEEN0 }>(env.sstateen0)
            } else {
                env.sstateen0
            },
        }
    }
}
