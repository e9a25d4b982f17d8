// SPDX-License-Identifier: GPL-2.0

//! The part of an exit to user space that the next `KVM_RUN` completes.
//!
//! It is kept here and not in the run area, where user space could change it. Only the value that
//! user space was asked for is read from there. User space cancels the completion by another exit
//! reason in the run area, for example because it has reset the vCPU.

use crate::{
    abi::{
        insn::{
            extend,
            CsrInsn,
            Gpr,
            InsnLen,
            Load,
            Store, //
        },
        sbi::SbiError, //
    },
    switch::regs::Regs,
    Riscv, //
};
use kernel::{
    bindings,
    kvm::{
        ExitReason,
        Gpa,
        LockedVcpu, //
    },
};

/// What the next `KVM_RUN` completes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Completion {
    /// Nothing.
    None,
    /// A load from a device of user space.
    Load(Load),
    /// A store to a device of user space.
    Store(Store),
    /// An access to a CSR that user space emulates.
    Csr(CsrInsn),
    /// An SBI call that user space serves.
    Sbi,
    /// A call of SBI v0.1 that user space serves.
    LegacySbi,
}

/// The position of `ret_value` among the words of `riscv_csr` in the run area.
const CSR_RET_VALUE: usize = 3;
/// The position of `ret` among the words of `riscv_sbi` in the run area: it follows the extension,
/// the function and six arguments.
const SBI_RET: usize = 8;

impl Completion {
    /// Returns the exit reason that goes with the completion.
    fn exit_reason(self) -> ExitReason {
        match self {
            Self::None => ExitReason::Unknown,
            Self::Load(_) | Self::Store(_) => ExitReason::Mmio,
            Self::Csr(_) => ExitReason::Arch(bindings::KVM_EXIT_RISCV_CSR),
            Self::Sbi | Self::LegacySbi => ExitReason::Arch(bindings::KVM_EXIT_RISCV_SBI),
        }
    }
}

/// Completes what the last exit to user space has left, unless user space has cancelled it.
pub(crate) fn complete(vcpu: &LockedVcpu<'_, Riscv>) {
    let regs = Regs::of(vcpu);
    let run = vcpu.run_area();
    let pending = vcpu.local().completion.replace(Completion::None);
    if !run.is_exit_reason(pending.exit_reason()) {
        return;
    }
    match pending {
        Completion::None => {}
        Completion::Load(load) => finish_load(regs, load, run.mmio_data()),
        Completion::Store(store) => regs.skip(store.len),
        Completion::Csr(csr) => finish_csr(regs, csr, run.arch_word::<CSR_RET_VALUE>()),
        Completion::LegacySbi => finish_legacy_sbi(regs, run.arch_word::<SBI_RET>()),
        Completion::Sbi => finish_sbi(
            regs,
            run.arch_word::<SBI_RET>(),
            run.arch_word::<{ SBI_RET + 1 }>(),
        ),
    }
}

/// Completes a load and steps over it. `data` is what memory would hold.
pub(crate) fn finish_load(regs: Regs<'_>, load: Load, data: [u8; 8]) {
    let value = extend(u64::from_le_bytes(data), load.width, load.sign_extend);
    regs.set_gpr(load.rd, value);
    regs.skip(load.len);
}

/// Completes an access to a CSR, which has read `value`, and steps over it.
pub(crate) fn finish_csr(regs: Regs<'_>, insn: CsrInsn, value: u64) {
    regs.set_gpr(insn.rd, value);
    regs.skip(CsrInsn::LEN);
}

/// Returns from an SBI call with `error` in `a0` and `value` in `a1`.
#[inline(always)]
pub(crate) fn finish_sbi(regs: Regs<'_>, error: u64, value: u64) {
    regs.set_gpr(Gpr::new(10), error);
    regs.set_gpr(Gpr::new(11), value);
    regs.skip(InsnLen::Four);
}

/// Returns from a call of SBI v0.1 with `value` in `a0`. All other registers stay.
pub(crate) fn finish_legacy_sbi(regs: Regs<'_>, value: u64) {
    regs.set_gpr(Gpr::new(10), value);
    regs.skip(InsnLen::Four);
}

/// Asks user space for a load.
pub(crate) fn ask_load(vcpu: &LockedVcpu<'_, Riscv>, load: Load, addr: Gpa) {
    vcpu.run_area().exit_mmio_load(addr, load.width.bytes());
    vcpu.local().completion.set(Completion::Load(load));
}

/// Asks user space for a store.
pub(crate) fn ask_store(vcpu: &LockedVcpu<'_, Riscv>, store: Store, addr: Gpa, data: &[u8]) {
    vcpu.run_area().exit_mmio_store(addr, data);
    vcpu.local().completion.set(Completion::Store(store));
}

/// Asks user space for an access to a CSR.
pub(crate) fn ask_csr(vcpu: &LockedVcpu<'_, Riscv>, insn: CsrInsn) {
    let regs = Regs::of(vcpu);
    let write = insn.write(|gpr| regs.gpr(gpr));
    vcpu.run_area().exit_arch(
        bindings::KVM_EXIT_RISCV_CSR,
        [u64::from(insn.csr), write.value, write.mask, 0],
    );
    vcpu.local().completion.set(Completion::Csr(insn));
}

/// Asks user space to serve an SBI call. If user space leaves the result alone, it is "not
/// supported". `pending` is [`Completion::Sbi`] or [`Completion::LegacySbi`].
pub(crate) fn ask_sbi(vcpu: &LockedVcpu<'_, Riscv>, pending: Completion) {
    let regs = Regs::of(vcpu);
    let [a0, a1, a2, a3, a4, a5, a6, a7] = core::array::from_fn(|i| regs.x(10 + i));
    let error = SbiError::NotSupported.raw();
    vcpu.run_area().exit_arch(
        bindings::KVM_EXIT_RISCV_SBI,
        [a7, a6, a0, a1, a2, a3, a4, a5, error, 0],
    );
    vcpu.local().completion.set(pending);
}
