// SPDX-License-Identifier: GPL-2.0

//! Loads from the guest's memory by the hart's HLV and HLVX instructions, which translate as the
//! guest does.

use crate::{
    hart::{
        csr,
        guest_csr::Translating,
        nacl,
        trap::Trap, //
    },
    switch::regs::Regs,
    Riscv, //
};
use kernel::{
    bindings,
    interrupt::LocalInterruptDisabled,
    kvm::{
        Gva,
        LoadedVcpu, //
    },
    prelude::*, //
};

/// What to load, and from where.
#[derive(Clone, Copy)]
pub(crate) enum GuestLoad {
    /// An instruction of 16 or 32 bits, with execute permission.
    Insn(Gva),
    /// 64 bits.
    DoubleWord(Gva),
}

impl GuestLoad {
    /// # Safety
    ///
    /// HSTATUS must be the guest's, and its translation in place.
    unsafe fn execute(self, trap: &mut bindings::kvm_cpu_trap) -> u64 {
        // SAFETY: The functions access nothing but `trap`, and the guest's memory by the guest's
        // translation, which the requirement puts in place.
        let value = unsafe {
            match self {
                Self::Insn(gva) => bindings::__kvm_riscv_rust_fetch(gva.0 as usize, trap),
                Self::DoubleWord(gva) => bindings::__kvm_riscv_rust_read(gva.0 as usize, trap),
            }
        };
        value as u64
    }
}

/// Loads from the guest's memory by what `vsatp` and `hgatp` hold, under the guest's HSTATUS.
///
/// Returns the value, or the trap that the load has caused.
///
/// # Errors
///
/// [`EIO`] if the CSRs that were written to shared memory cannot be put on the hart.
pub(crate) fn load(
    vcpu: &LoadedVcpu<'_, Riscv>,
    irq: &LocalInterruptDisabled,
    _: Translating<'_>,
    from: GuestLoad,
) -> Result<Result<u64, Trap>> {
    if nacl::available() {
        // The guest's CSRs may have been written to shared memory since it ran, and the load
        // depends on them.
        if let Err(e) = nacl::this_hart(irq).sync() {
            nacl::warn_once(e);
            return Err(EIO);
        }
    }
    let mut trap = bindings::kvm_cpu_trap::default();
    // The load takes effect now, so HSTATUS is written by the instruction, even where there is
    // shared memory.
    //
    // SAFETY: Interrupts are disabled, and the host's HSTATUS is put back. The guest's translation
    // is in place, by the argument.
    let value = unsafe {
        let mut host = csr::swap::<{ csr::HSTATUS }>(Regs::of(vcpu).hstatus().into_raw());
        if nacl::available() {
            host = nacl::this_hart(irq).host_hstatus();
        }
        let value = from.execute(&mut trap);
        csr::write::<{ csr::HSTATUS }>(host);
        value
    };
    if trap.scause != 0 {
        return Ok(Err(Trap::from_raw(&trap)));
    }
    Ok(Ok(value))
}
