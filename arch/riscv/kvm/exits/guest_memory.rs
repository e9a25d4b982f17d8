// SPDX-License-Identifier: GPL-2.0

//! Reads of the guest's memory in the guest's place: with its translation, its privilege, and the
//! faults that it would get itself.

use crate::{
    abi::insn::TrapInsn,
    exits::Next,
    hart::trap::{
        Access,
        Exit,
        GuestPageFault,
        Trap, //
    },
    mmu::{
        activate,
        map, //
    },
    switch::{
        guest_load::{
            self,
            GuestLoad, //
        },
        regs::Regs, //
    },
    vcpu::exception::{
        inject,
        Exception, //
    },
    Riscv, //
};
use kernel::{
    interrupt::LocalInterruptDisabled,
    kvm::{
        Gva,
        LoadedVcpu,
        PreemptOff, //
    },
    prelude::*, //
};

/// Why nothing was read.
pub(crate) enum ReadError {
    /// The guest itself would have trapped.
    Trap(Trap),
    /// A fence or a new VMID has to come first: the guest has to execute its instruction again.
    Again,
    /// The host cannot read as the guest would.
    Failed(Error),
}

/// Fetches the instruction at the guest's program counter, with execute permission.
///
/// # Errors
///
/// If the instruction cannot be fetched, the error is what comes next, to be returned by the
/// caller.
pub(crate) fn fetch(vcpu: &LoadedVcpu<'_, Riscv>) -> Result<TrapInsn, Result<Next>> {
    match load(vcpu, insn_at_pc(vcpu)) {
        Ok(raw) => Ok(TrapInsn::fetched(raw as u32)),
        Err(error) => Err(failed(vcpu, error, Access::Fetch)),
    }
}

/// Fetches the instruction at the guest's program counter at the stage
/// [`irqs_off`](crate::exits::Handle::irqs_off).
///
/// Returns [`None`] if a fence or a new VMID has to come first, or if the guest would trap.
pub(crate) fn fetch_irqs_off(
    vcpu: &LoadedVcpu<'_, Riscv>,
    irq: &LocalInterruptDisabled,
) -> Option<TrapInsn> {
    // Between the entry and this stage, interrupts were enabled for a moment.
    let hart = activate::translating(vcpu, irq)?;
    if vcpu.request_pending() {
        return None;
    }
    let raw = guest_load::load(vcpu, irq, hart, insn_at_pc(vcpu))
        .ok()?
        .ok()?;
    Some(TrapInsn::fetched(raw as u32))
}

/// Reads eight bytes at `gva`.
pub(crate) fn read(vcpu: &LoadedVcpu<'_, Riscv>, gva: Gva) -> Result<u64, ReadError> {
    load(vcpu, GuestLoad::DoubleWord(gva))
}

/// Handles the failure of a [`read`]: see [`failed`].
pub(crate) fn read_failed(vcpu: &LoadedVcpu<'_, Riscv>, error: ReadError) -> Result<Next> {
    failed(vcpu, error, Access::Load)
}

/// Handles a failure to load from the guest's memory for an `access` of the guest: maps the page,
/// so that the load succeeds when the guest executes its instruction again, or raises the exception
/// that the guest itself would take.
///
/// The guest need not fault on the page itself, even if it fetches its instruction from there: its
/// fetch may use an entry of the TLB that the load of the host does not, for example because the
/// host has cleared the accessed bit since.
fn failed(vcpu: &LoadedVcpu<'_, Riscv>, error: ReadError, access: Access) -> Result<Next> {
    let trap = match error {
        ReadError::Trap(trap) => trap,
        ReadError::Again => return Ok(Next::Enter),
        ReadError::Failed(e) => return Err(e),
    };
    let srcu = vcpu.srcu_read_lock();
    let exception = match (trap.decode(), access) {
        // The load of an instruction faults as a load.
        (Exit::GuestPageFault(fault), access) => match map::memslot(&srcu, &fault) {
            Some(slot) => {
                let fault = GuestPageFault { access, ..fault };
                return map::map(vcpu, &slot, &fault).map(|()| Next::Enter);
            }
            None => Exception::access_fault(access, trap.stval),
        },
        (_, Access::Fetch) => Exception::of_fetch(&trap),
        _ => Exception::of_trap(&trap),
    };
    inject(vcpu, exception);
    Ok(Next::Enter)
}

fn insn_at_pc(vcpu: &LoadedVcpu<'_, Riscv>) -> GuestLoad {
    GuestLoad::Insn(Gva(Regs::of(vcpu).sepc()))
}

/// Loads from the guest's memory, with the guest's translation in place.
///
/// Whoever unmaps guest memory waits until this has finished.
fn load(vcpu: &LoadedVcpu<'_, Riscv>, from: GuestLoad) -> Result<u64, ReadError> {
    activate::run_queued_fences(vcpu);
    vcpu.vm().backend().vmid.ensure();
    vcpu.while_reading(|vcpu, irq| {
        activate::prepare(vcpu, PreemptOff::from_irq_off(irq));
        let hart = activate::translating(vcpu, irq).ok_or(ReadError::Again)?;
        if activate::must_fence_first(vcpu) {
            return Err(ReadError::Again);
        }
        guest_load::load(vcpu, irq, hart, from)
            .map_err(ReadError::Failed)?
            .map_err(ReadError::Trap)
    })
}
