// SPDX-License-Identifier: GPL-2.0

//! Switching virtualization on and off, hart by hart.

#![deny(unsafe_code)]

use crate::{
    hart::{
        guest_csr,
        nacl,
        state, //
    },
    Riscv, //
};
use kernel::{
    kvm::{
        backend::HardwareOps,
        context::with_irqs_saved,
        PreemptOff, //
    },
    prelude::*, //
};

impl HardwareOps for Riscv {
    fn enable_cpu() -> Result {
        let preempt = PreemptOff::new();
        with_irqs_saved(nacl::enable_cpu).map_err(|e| {
            pr_err!("NACL: shared memory was refused: {:?}\n", e);
            EIO
        })?;
        guest_csr::init_cpu(&preempt);
        state::set_enabled(&preempt, true);
        Ok(())
    }

    fn disable_cpu() {
        let preempt = PreemptOff::new();
        state::set_enabled(&preempt, false);
        forget_guests(&preempt);
        with_irqs_saved(nacl::disable_cpu);
    }
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
        guest_csr::init_cpu(preempt);
    }
}

fn forget_guests(preempt: &PreemptOff) {
    with_irqs_saved(nacl::flush_cpu);
    guest_csr::clear_cpu(preempt);
    state::forget(preempt);
}
