// SPDX-License-Identifier: GPL-2.0

//! The one way to the H CSRs outside of the world switch: through NACL shared memory where the
//! platform has it, by the CSR instructions elsewhere.
//!
//! The choice is a static key, so that a platform without NACL pays nothing for it.

use crate::hart::{
    csr::{
        self,
        Henvcfg,
        Hgatp,
        Hstateen0, //
    },
    nacl::{
        self,
        SharedMemory, //
    },
};
use kernel::{
    interrupt::LocalInterruptDisabled,
    kvm::{
        backend::VcpuOps,
        LoadedVcpu,
        PreemptOff, //
    },
};

/// A token of code that may access this hart's guest CSRs: preemption is disabled, or a vCPU is
/// loaded, whose values follow the thread.
pub(crate) trait OnHart {
    /// Calls `f` with the hart's shared memory, if it is [in use](SharedMemory::is_set). Only where
    /// there is some.
    fn with_shmem<R>(&self, f: impl FnOnce(&SharedMemory) -> R) -> Option<R>;
}

impl OnHart for PreemptOff {
    #[inline(always)]
    fn with_shmem<R>(&self, f: impl FnOnce(&SharedMemory) -> R) -> Option<R> {
        nacl::this_hart_preempt(self).if_set(f)
    }
}

impl OnHart for LocalInterruptDisabled {
    #[inline(always)]
    fn with_shmem<R>(&self, f: impl FnOnce(&SharedMemory) -> R) -> Option<R> {
        nacl::this_hart(self).if_set(f)
    }
}

impl<B: VcpuOps> OnHart for LoadedVcpu<'_, B> {
    #[inline(always)]
    fn with_shmem<R>(&self, f: impl FnOnce(&SharedMemory) -> R) -> Option<R> {
        nacl::this_hart_preempt(&PreemptOff::new()).if_set(f)
    }
}

/// Returns whether a CSR is one of those of the guest that any value may be written to: they act on
/// V=1 only, and there on nothing but the guest's own state.
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
            | csr::HVIEN
            | csr::HVICTL
            | csr::HVIPRIO1
            | csr::HVIPRIO2
    )
}

/// Reads a CSR of the guest.
#[inline(always)]
pub(crate) fn read<const CSR: u16>(hart: &impl OnHart) -> u64 {
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
pub(crate) fn write<const CSR: u16>(hart: &impl OnHart, value: u64) {
    const { assert!(is_guest_csr(CSR)) };
    // SAFETY: A CSR of the guest holds what the guest or its user space wants it to.
    unsafe { write_any::<CSR>(hart, value) };
}

/// # Safety
///
/// The kernel must stay sound with this value in the CSR.
#[inline(always)]
unsafe fn write_any<const CSR: u16>(hart: &impl OnHart, value: u64) {
    if nacl::sync_csr() {
        let written = hart.with_shmem(|shmem| shmem.write_csr::<CSR>(value));
        if written.is_some() {
            return;
        }
    }
    // SAFETY: By the requirement.
    unsafe { csr::write::<CSR>(value) };
}

/// What the guest's traps do, and which of the hart's features it may use.
#[derive(Clone, Copy)]
pub(crate) struct Config {
    /// Exceptions that the guest handles itself.
    pub(crate) hedeleg: u64,
    /// Features.
    pub(crate) henvcfg: Henvcfg,
    /// State.
    pub(crate) hstateen0: Hstateen0,
}

/// Returns whether this is the `scause` of an interrupt.
#[inline(always)]
pub(crate) const fn is_interrupt(scause: u64) -> bool {
    scause >> 63 != 0
}

/// Exceptions by their number in `scause`.
pub(crate) mod exception {
    pub(crate) const INST_MISALIGNED: u64 = 0;
    pub(crate) const INST_ACCESS: u64 = 1;
    pub(crate) const INST_ILLEGAL: u64 = 2;
    pub(crate) const BREAKPOINT: u64 = 3;
    pub(crate) const LOAD_MISALIGNED: u64 = 4;
    pub(crate) const LOAD_ACCESS: u64 = 5;
    pub(crate) const STORE_MISALIGNED: u64 = 6;
    pub(crate) const STORE_ACCESS: u64 = 7;
    pub(crate) const ECALL_U: u64 = 8;
    pub(crate) const ECALL_VS: u64 = 10;
    pub(crate) const INST_PAGE_FAULT: u64 = 12;
    pub(crate) const LOAD_PAGE_FAULT: u64 = 13;
    pub(crate) const STORE_PAGE_FAULT: u64 = 15;
    pub(crate) const INST_GUEST_PAGE_FAULT: u64 = 20;
    pub(crate) const LOAD_GUEST_PAGE_FAULT: u64 = 21;
    pub(crate) const VIRTUAL_INST: u64 = 22;
    pub(crate) const STORE_GUEST_PAGE_FAULT: u64 = 23;
}

impl Config {
    /// Exceptions that are the guest's own affair, whatever it is and however it is debugged.
    const HEDELEG: u64 = 1 << exception::INST_MISALIGNED
        | 1 << exception::INST_ILLEGAL
        | 1 << exception::ECALL_U
        | 1 << exception::INST_PAGE_FAULT
        | 1 << exception::LOAD_PAGE_FAULT
        | 1 << exception::STORE_PAGE_FAULT;

    /// Returns the configuration of a guest with these features, debugged by user space or not.
    pub(crate) fn new(henvcfg: Henvcfg, hstateen0: Hstateen0, debugged: bool) -> Self {
        let breakpoint = if debugged {
            0
        } else {
            1 << exception::BREAKPOINT
        };
        Self {
            hedeleg: Self::HEDELEG | breakpoint,
            henvcfg,
            hstateen0,
        }
    }

    /// Puts the configuration in place. To be done ahead of the guest's CSRs, whose behaviour it
    /// decides about.
    #[inline]
    pub(crate) fn load(&self, hart: &PreemptOff) {
        // SAFETY: Only exceptions that arise in the guest are delegated, and they can be because
        // `new()` sees to that; the interrupts are those of VS-level; `henvcfg` and `hstateen0`
        // act on V=1 only.
        unsafe {
            write_any::<{ csr::HEDELEG }>(hart, self.hedeleg);
            write_any::<{ csr::HIDELEG }>(hart, csr::VsInterrupt::ALL);
            write_any::<{ csr::HENVCFG }>(hart, self.henvcfg.into_raw());
            if crate::hart::features::smstateen() {
                write_any::<{ csr::HSTATEEN0 }>(hart, self.hstateen0.into_raw());
            }
        }
    }
}

/// Makes `hgatp` translate the guest's physical addresses.
///
/// # Safety
///
/// `hgatp` must name the root of a page table that maps nothing but memory that is the guest's to
/// access, and that outlives its use by this hart.
#[inline(always)]
pub(crate) unsafe fn write_hgatp(hart: &impl OnHart, hgatp: Hgatp) {
    // SAFETY: By the requirement.
    unsafe { write_any::<{ csr::HGATP }>(hart, hgatp.into_raw()) };
    if nacl::sync_csr() {
        hart.with_shmem(|shmem| shmem.remember_hgatp(hgatp));
    }
}

/// Makes `hgatp` what has been written to it last: HFENCE.VVMA, as an instruction, acts on the VMID
/// that the hart has there.
#[inline]
pub(crate) fn commit_hgatp(hart: &PreemptOff) {
    if !nacl::sync_csr() {
        return;
    }
    let shmem = nacl::this_hart_preempt(hart);
    if let Err(e) = shmem.sync_csrs() {
        nacl::warn_once(e);
        // SAFETY: This is what `write_hgatp()` has written last.
        unsafe { csr::write::<{ csr::HGATP }>(shmem.hgatp().into_raw()) };
    }
}

/// Puts the hart in a state that the host can do anything in, after a vCPU has been taken off it.
/// `timer` tells that the guest's timer has been switched off.
#[inline]
pub(crate) fn settle(hart: &PreemptOff, timer: bool) {
    if nacl::sync_csr() {
        nacl::this_hart_preempt(hart).settle(timer);
    }
}

/// Sets the CSRs of virtualization to a known state when it is switched on for this hart. By the
/// CSR instructions: this is not a path to be fast on.
pub(crate) fn init_cpu(_: &PreemptOff) {
    // Other harts may have been told to forget guests while this one was not there to hear it.
    crate::hart::fence::hfence_gvma_all();
    // SAFETY: No guest runs; nothing is delegated; all counters but `time` trap.
    unsafe {
        csr::write::<{ csr::HEDELEG }>(0);
        csr::write::<{ csr::HIDELEG }>(0);
        csr::write::<{ csr::HCOUNTEREN }>(HCOUNTEREN_TM);
        csr::write::<{ csr::HVIP }>(0);
    }
}

/// Leaves nothing of a guest behind when virtualization is switched off for this hart.
///
/// With `hideleg` zero, an interrupt that `hvip` makes pending and `vsie` enables would be the
/// host's, which does not know it. So both are cleared first.
///
/// `hgatp` stays: when the host reboots, this comes as an interrupt, maybe in the middle of a stay in
/// a guest, which must not go on in the host's memory.
pub(crate) fn clear_cpu(_: &PreemptOff) {
    // SAFETY: Nothing is delegated any more: whatever a guest does that goes on traps to the host.
    unsafe {
        csr::write::<{ csr::VSIE }>(0);
        csr::write::<{ csr::HVIP }>(0);
        csr::write::<{ csr::HEDELEG }>(0);
        csr::write::<{ csr::HIDELEG }>(0);
    }
}

/// `hcounteren.TM`: VS-mode reads `time` without a trap.
const HCOUNTEREN_TM: u64 = 1 << 1;

/// Finds out the widest translation scheme, and the number of VMID bits, that `hgatp` takes.
pub(crate) fn probe_hgatp(_: &PreemptOff) -> (Option<crate::abi::pte::Mode>, u32) {
    use crate::abi::pte::Mode;
    use kernel::num::Bounded;

    let try_hgatp = |hgatp: Hgatp| {
        // SAFETY: No guest runs, and without one `hgatp` has no effect.
        let got = unsafe {
            csr::write::<{ csr::HGATP }>(hgatp.into_raw());
            csr::read::<{ csr::HGATP }>()
        };
        Hgatp::from_raw(got)
    };
    let with_mode =
        |mode: Mode| Hgatp::from_raw(0).with_mode(Bounded::from_expr(mode.hgatp_mode()));

    // A write of a mode that the hart does not have has no effect on the register.
    let mode = Mode::ALL
        .into_iter()
        .rev()
        .find(|mode| try_hgatp(with_mode(*mode)).mode().get() == mode.hgatp_mode());
    let vmid_bits = mode.map_or(0, |mode| {
        let all_ones = with_mode(mode).with_vmid(Bounded::from_expr((1 << 14) - 1));
        64 - try_hgatp(all_ones).vmid().get().leading_zeros()
    });

    // SAFETY: As above.
    unsafe { csr::write::<{ csr::HGATP }>(0) };
    // Whatever the hart has cached of these translations is of no guest.
    crate::hart::fence::hfence_gvma_all();
    (mode, vmid_bits)
}
