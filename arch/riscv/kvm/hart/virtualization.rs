// SPDX-License-Identifier: GPL-2.0

//! Switching virtualization on and off, hart by hart.

use crate::{
    abi::pte::Mode,
    hart::{
        csr::{
            self,
            Hgatp, //
        },
        fence,
        nacl,
        state, //
    },
};
use kernel::{
    kvm::{
        context::with_irqs_saved,
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
pub(crate) fn enable_cpu() -> Result {
    let preempt = PreemptOff::new();
    with_irqs_saved(nacl::enable_cpu).map_err(|e| {
        pr_err!("NACL: shared memory was refused: {:?}\n", e);
        EIO
    })?;
    init_csrs();
    state::set_enabled(&preempt, true);
    Ok(())
}

/// Switches virtualization off for this hart, which leaves nothing of a guest on it.
pub(crate) fn disable_cpu() {
    let preempt = PreemptOff::new();
    state::set_enabled(&preempt, false);
    forget_guests(&preempt);
    with_irqs_saved(nacl::disable_cpu);
}

/// This CPU is about to lose its state.
pub(crate) fn sleep(preempt: &PreemptOff) {
    if state::enabled(preempt) {
        forget_guests(preempt);
    }
}

/// This CPU has lost its state, or not after all.
pub(crate) fn wake(preempt: &PreemptOff) {
    if state::enabled(preempt) {
        // Whether the SBI still knows of the shared memory is not said anywhere. Where it refuses it,
        // no guest can be entered.
        if let Err(e) = with_irqs_saved(nacl::enable_cpu) {
            // Whenever a hart idles deeply: not each time.
            kernel::pr_err_once!("NACL: shared memory was refused: {:?}\n", e);
        }
        init_csrs();
    }
}

fn forget_guests(preempt: &PreemptOff) {
    with_irqs_saved(nacl::flush_cpu);
    clear_csrs();
    state::clear_csr_owner(preempt);
}

/// Sets the CSRs of virtualization to a known state when it is switched on for this hart. By the
/// CSR instructions: this is not a path to be fast on.
fn init_csrs() {
    // Other harts may have been told to forget guests while this one was not there to hear it.
    fence::hfence_gvma_all();
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
fn clear_csrs() {
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
pub(crate) fn probe_hgatp(_: &PreemptOff) -> (Option<Mode>, u32) {
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
    fence::hfence_gvma_all();
    (mode, vmid_bits)
}
