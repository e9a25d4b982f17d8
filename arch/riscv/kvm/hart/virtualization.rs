// SPDX-License-Identifier: GPL-2.0

//! Switching virtualization on and off, hart by hart.

use crate::{
    abi::{
        pte::{
            Mode,
            PAGE_SHIFT,
            ROOT_PAGES, //
        },
        warl::{
            satp,
            SatpSupport, //
        },
    },
    hart::{
        csr::{
            self,
            Hgatp,
            VsInterrupt, //
        },
        features,
        fence,
        guest_files,
        nacl,
        state, //
    },
};
use kernel::{
    kvm::{
        context::with_irqs_saved,
        NoVcpu,
        PageTablePage,
        PreemptOff, //
    },
    num::Bounded,
    prelude::*, //
};

/// Switches virtualization on for this hart.
///
/// # Errors
///
/// Returns [`EIO`] if the firmware refuses the hart's shared memory.
pub(crate) fn enable_cpu(no_vcpu: &NoVcpu) -> Result {
    let preempt = PreemptOff::new();
    with_irqs_saved(nacl::enable_cpu).map_err(|e| {
        pr_err!("NACL: shared memory was refused: {:?}\n", e);
        EIO
    })?;
    init_csrs(no_vcpu);
    guest_files::enable(&preempt);
    state::set_enabled(&preempt, true);
    Ok(())
}

/// Switches virtualization off for this hart, which leaves nothing of a guest on it.
pub(crate) fn disable_cpu() {
    let preempt = PreemptOff::new();
    state::set_enabled(&preempt, false);
    guest_files::disable(&preempt);
    forget_guests(&preempt);
    with_irqs_saved(nacl::disable_cpu);
}

/// Prepares this hart for losing its state.
pub(crate) fn sleep(preempt: &PreemptOff) {
    if state::enabled(preempt) {
        guest_files::disable(preempt);
        forget_guests(preempt);
    }
}

/// Restores this hart, which may have lost its state.
pub(crate) fn wake(no_vcpu: &NoVcpu, preempt: &PreemptOff) {
    if state::enabled(preempt) {
        // No specification says whether the SBI still knows the shared memory. If it refuses the
        // memory, no guest can be entered on this hart.
        if let Err(e) = with_irqs_saved(nacl::enable_cpu) {
            // This happens whenever a hart idles deeply, so report it once.
            kernel::pr_err_once!("NACL: shared memory was refused: {:?}\n", e);
        }
        init_csrs(no_vcpu);
        guest_files::enable(preempt);
    }
}

/// Leaves no CSR of a guest on this hart.
fn forget_guests(preempt: &PreemptOff) {
    with_irqs_saved(nacl::flush_cpu);
    clear_csrs();
    state::clear_csr_owner(preempt);
}

/// Sets the H CSRs to a known state, by the CSR instructions, because speed does not matter here.
///
/// Whoever had the hart before, such as a kernel that has crashed, may have left anything in them.
/// `hvien` is the same for all guests, and decides which bits of `hvip` and `vsie` there are.
fn init_csrs(_: &NoVcpu) {
    clear_csrs();
    // SAFETY: No vCPU is loaded. Each writes `vsatp` and `hgatp` before its guest runs, because
    // this hart has the CSRs of none. All counters but `time` trap.
    unsafe {
        csr::write::<{ csr::HCOUNTEREN }>(HCOUNTEREN_TM);
        if features::overflow_interrupt() {
            csr::write::<{ csr::HVIEN }>(VsInterrupt::VIRTUAL);
        }
        csr::write::<{ csr::VSATP }>(0);
        csr::write::<{ csr::HGATP }>(0);
    }
    // A new generation of VMIDs may have begun while this hart was offline.
    fence::hfence_gvma_all();
}

/// Clears the CSRs of a guest.
///
/// With `hideleg` zero, an interrupt that `hvip` makes pending and `hie` enables would interrupt
/// the host, which does not know it. So both are cleared first. `vsie` is another view of `hie`, as
/// far as `hideleg` delegates.
///
/// `hgatp` stays: when the host reboots, this runs in an interrupt, maybe in the middle of a stay
/// in a guest, and the guest must not go on in host-physical memory.
fn clear_csrs() {
    // SAFETY: Nothing is delegated any more, so a guest that goes on traps to the host.
    unsafe {
        csr::write::<{ csr::HIE }>(0);
        csr::write::<{ csr::HVIP }>(0);
        csr::write::<{ csr::HEDELEG }>(0);
        csr::write::<{ csr::HIDELEG }>(0);
        if features::ssaia() {
            csr::write::<{ csr::HVIEN }>(0);
        }
    }
}

/// `hcounteren.TM`: VS-mode reads `time` without a trap.
const HCOUNTEREN_TM: u64 = 1 << 1;

/// What the two stages of translation of a hart support.
pub(crate) struct Translation {
    /// The widest scheme of the G-stage.
    pub(crate) mode: Mode,
    /// The number of VMID bits.
    pub(crate) vmid_bits: u32,
    /// What `vsatp` supports.
    pub(crate) satp: SatpSupport,
}

/// Returns what this hart supports.
///
/// # Errors
///
/// [`ENODEV`] if the hart has no G-stage translation, [`ENOMEM`].
pub(crate) fn probe(_: &NoVcpu) -> Result<Translation> {
    // The hart walks by what is in these registers speculatively, also while no guest runs. So
    // `hgatp` names a table without entries: nothing is found there, nor by `vsatp`, whose tables
    // are at guest physical addresses.
    let root = PageTablePage::<ROOT_PAGES>::alloc()?;
    let preempt = PreemptOff::new();
    // SAFETY: No vCPU is loaded.
    unsafe { csr::write::<{ csr::VSATP }>(0) };
    let translation = probe_hgatp(&root).map(|(mode, vmid_bits)| Translation {
        mode,
        vmid_bits,
        satp: probe_vsatp(),
    });
    // SAFETY: As above. `probe_vsatp()` has set `vsatp` to zero.
    unsafe { csr::write::<{ csr::HGATP }>(0) };
    // Drop what the hart may have cached of these translations, which belong to no guest. It cannot
    // walk the table any more.
    fence::hfence_gvma_all();
    drop(preempt);
    translation.ok_or(ENODEV)
}

/// Returns the widest translation scheme and the number of VMID bits that `hgatp` of this hart has,
/// or [`None`] if the hart has no G-stage translation. Leaves `root` in `hgatp`, with VMID 0.
fn probe_hgatp(root: &PageTablePage<ROOT_PAGES>) -> Option<(Mode, u32)> {
    let try_hgatp = |hgatp: Hgatp| {
        // SAFETY: No vCPU is loaded, and the table has no entries.
        let got = unsafe {
            csr::write::<{ csr::HGATP }>(hgatp.into_raw());
            csr::read::<{ csr::HGATP }>()
        };
        Hgatp::from_raw(got)
    };
    let with_mode = |mode: Mode| {
        Hgatp::from_raw(0)
            .with_mode(Bounded::from_expr(mode.hgatp_mode() & 0xf))
            .with_ppn(Bounded::from_expr(
                (root.phys() >> PAGE_SHIFT) & ((1 << 44) - 1),
            ))
    };

    // A write of a mode that the hart does not have has no effect on the register.
    let mode = Mode::ALL
        .into_iter()
        .rev()
        .find(|mode| try_hgatp(with_mode(*mode)).mode().get() == mode.hgatp_mode())?;
    let all_ones = with_mode(mode).with_vmid(Bounded::from_expr((1 << 14) - 1));
    let vmid_bits = 64 - try_hgatp(all_ones).vmid().get().leading_zeros();
    try_hgatp(with_mode(mode));
    Some((mode, vmid_bits))
}

/// Returns what `vsatp` of this hart supports, while `hgatp` names a table without entries.
fn probe_vsatp() -> SatpSupport {
    let try_vsatp = |vsatp: u64| {
        // SAFETY: No vCPU is loaded, and no guest physical address is translated.
        unsafe {
            csr::write::<{ csr::VSATP }>(vsatp);
            csr::read::<{ csr::VSATP }>()
        }
    };
    let mut support = SatpSupport {
        modes: 0,
        asid_bits: 0,
    };
    for mode in satp::SV39..=satp::SV57 {
        let wanted = mode << satp::MODE_SHIFT;
        let asids = wanted | ((1 << satp::ASID_BITS_MAX) - 1) << satp::ASID_SHIFT;
        // A write of a mode that the hart does not have may leave the register as it is.
        try_vsatp(0);
        let got = try_vsatp(asids);
        if got >> satp::MODE_SHIFT == mode {
            support.modes |= 1 << mode;
            let asid = (got & !wanted) >> satp::ASID_SHIFT;
            support.asid_bits = 64 - asid.leading_zeros();
        }
    }
    try_vsatp(0);
    support
}
