// SPDX-License-Identifier: GPL-2.0

//! One stay in the guest, which the kernel sees as one: exits that are handled inside the world
//! switch do not end it.
//!
//! Between the two calls that tell the kernel of the stay, RCU does not watch, so everything there
//! is in `.noinstr.text` or inlined into it, and calls nothing that could be instrumented.

#![allow(unsafe_code)]

use crate::{
    hart::{
        csr,
        guest_csr::Translating,
        trap::{
            is_interrupt,
            Trap, //
        },
    },
    run::dispatch,
    switch::{
        regs::Regs,
        user_csrs,
        world_switch::{
            self,
            EntryFailed, //
        },
    },
    Riscv, //
};
use kernel::kvm::{
    guest_mode::{
        guest_state_enter,
        guest_state_exit, //
    },
    GuestMode,
    LoadedVcpu, //
};

/// Runs the guest until it traps for something that is not handled inside the world switch.
///
/// What the trap left in the CSRs is read before interrupts are enabled again: the next trap
/// overwrites it.
#[link_section = ".noinstr.text"]
#[inline(never)]
pub(crate) fn stay(
    vcpu: &LoadedVcpu<'_, Riscv>,
    mode: &GuestMode<'_>,
    _: Translating<'_>,
) -> Result<Trap, EntryFailed> {
    let irq = mode.irq();
    let regs = Regs::of(vcpu);
    let guest_csrs = &vcpu.local().user_csrs;
    let ssp = &vcpu.local().ssp;

    world_switch::prepare(irq)?;
    let host_csrs = user_csrs::swap(guest_csrs.get());
    user_csrs::swap_ssp(ssp);
    // SAFETY: Everything up to the counterpart is in `.noinstr.text`, or inlined into it, and does
    // without RCU.
    unsafe { guest_state_enter(mode) };

    let (result, scause, stval) = loop {
        // SAFETY: The vCPU is loaded, and this hart translates for it, by the arguments. The kernel
        // knows of the stay. `prepare()` has succeeded above, and what is handled in the
        // switch writes to shared memory only where SYNC_SRET synchronizes it.
        let result = unsafe { world_switch::switch(regs, irq) };
        // SAFETY: Reading these has no effect. The hart has them, as it has the H extension.
        let (scause, stval) = unsafe {
            (
                csr::read::<{ csr::SCAUSE }>(),
                csr::read::<{ csr::STVAL }>(),
            )
        };
        if result.is_err() || !dispatch::in_switch(vcpu, irq, scause, stval) {
            break (result, scause, stval);
        }
    };

    // SAFETY: The counterpart is above.
    unsafe { guest_state_exit(mode, is_interrupt(scause)) };
    guest_csrs.set(user_csrs::swap(host_csrs));
    user_csrs::swap_ssp(ssp);

    result.map(|(htval, htinst)| Trap {
        sepc: regs.sepc(),
        scause,
        stval,
        htval,
        htinst,
    })
}
