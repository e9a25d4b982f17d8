// SPDX-License-Identifier: GPL-2.0

//! Instructions that trap because VS-mode or VU-mode may not use them freely: WFI, WRS, and
//! accesses to CSRs.

use crate::{
    abi::{
        insn::{
            decode_system,
            CsrInsn,
            InsnLen,
            System,
            TrapInsn, //
        },
        one_reg::{
            IsaExtId,
            SbiExtId, //
        },
        pmu::{
            CYCLE,
            INSTRET, //
        },
    },
    exits::{
        guest_memory,
        Handle,
        Next,
        MAX_VISITED, //
    },
    hart::csr,
    switch::regs::Regs,
    vcpu::{
        aia::{
            self,
            CsrAccess, //
        },
        completion,
        exception::{
            inject,
            Exception, //
        },
        pmu,
        wait::wait_for_interrupt, //
    },
    Riscv, //
};
use kernel::{
    interrupt::LocalInterruptDisabled,
    kvm::{
        stats::vcpu_counter,
        LoadedVcpu,
        PreemptOff, //
    },
    prelude::*, //
};

/// A virtual-instruction exception: an instruction that is legal in HS-mode, and not permitted to
/// the guest now.
pub(crate) struct VirtualInstruction {
    /// The instruction, or 0 if the hart does not report it.
    pub(crate) stval: u64,
}

impl Handle for VirtualInstruction {
    /// Handles a WFI of the guest's kernel while an interrupt is pending.
    #[inline(always)]
    fn in_switch(&self, vcpu: &LoadedVcpu<'_, Riscv>, irq: &LocalInterruptDisabled) -> bool {
        let regs = Regs::of(vcpu);
        if !TrapInsn::is_wfi_in_stval(self.stval)
            || !regs.sstatus().spp().into_bool()
            || !vcpu.shared().interrupts.pending_loaded(irq)
        {
            return false;
        }
        vcpu.count(vcpu_counter!(wfi_exit_stat));
        regs.skip(InsnLen::Four);
        true
    }

    /// Handles accesses to CSRs, and WRS if the VM has few vCPUs, and none to yield to.
    #[inline(always)]
    fn irqs_off(
        &self,
        vcpu: &LoadedVcpu<'_, Riscv>,
        _: &PreemptOff,
        irq: &LocalInterruptDisabled,
    ) -> Option<Next> {
        let insn = match TrapInsn::from_stval(self.stval) {
            Some(insn) => insn,
            None => guest_memory::fetch_irqs_off(vcpu, irq)?,
        };
        match decode_system(insn)? {
            System::Wrs if vcpu.vm().online_vcpus() <= MAX_VISITED && !vcpu.has_ready_peer() => {
                skip_wrs(vcpu);
                Some(Next::Enter)
            }
            System::Csr(csr) => Some(access_csr(vcpu, insn, csr)),
            _ => None,
        }
    }

    fn handle(&self, vcpu: &LoadedVcpu<'_, Riscv>) -> Result<Next> {
        let insn = match TrapInsn::from_stval(self.stval) {
            Some(insn) => insn,
            None => match guest_memory::fetch(vcpu) {
                Ok(insn) => insn,
                Err(next) => return next,
            },
        };
        let regs = Regs::of(vcpu);
        let supervisor = regs.sstatus().spp().into_bool();
        match decode_system(insn) {
            // In U-mode, the guest's kernel decides what WFI does.
            Some(System::Wfi) if supervisor => {
                vcpu.count(vcpu_counter!(wfi_exit_stat));
                wait_for_interrupt(vcpu);
                regs.skip(InsnLen::Four);
                Ok(Next::Enter)
            }
            Some(System::Wrs) => {
                vcpu.on_spin(supervisor);
                skip_wrs(vcpu);
                Ok(Next::Enter)
            }
            Some(System::Csr(csr)) => Ok(access_csr(vcpu, insn, csr)),
            _ => Ok(illegal(vcpu, insn)),
        }
    }
}

/// Lets the guest go on after WRS, which may end for any reason.
fn skip_wrs(vcpu: &LoadedVcpu<'_, Riscv>) {
    vcpu.count(vcpu_counter!(wrs_exit_stat));
    Regs::of(vcpu).skip(InsnLen::Four);
}

fn illegal(vcpu: &LoadedVcpu<'_, Riscv>, insn: TrapInsn) -> Next {
    inject(vcpu, Exception::illegal_instruction(u64::from(insn.raw())));
    Next::Enter
}

/// Handles an access to a CSR that is not one of VS-mode's own.
fn access_csr(vcpu: &LoadedVcpu<'_, Riscv>, insn: TrapInsn, access: CsrInsn) -> Next {
    match access.csr {
        csr::CYCLE..=csr::HPMCOUNTER31 => match read_counter(vcpu, access) {
            Some(value) => finish_csr(vcpu, access, value),
            None => illegal(vcpu, insn),
        },
        csr::SIREG | csr::STOPEI if may_access_aia(vcpu) => match aia::access_csr(vcpu, access) {
            CsrAccess::Done(value) => finish_csr(vcpu, access, value),
            CsrAccess::Retry => Next::Enter,
            CsrAccess::Illegal => illegal(vcpu, insn),
            CsrAccess::UserSpace => ask_csr(vcpu, access),
        },
        // To a guest, its firmware has given the entropy source to the kernel alone: SSEED is set
        // in `mseccfg`, and USEED is not. A read without a write is illegal for everybody.
        csr::SEED
            if access.writes()
                && Regs::of(vcpu).sstatus().spp().into_bool()
                && vcpu.local().isa.get().has(IsaExtId::Zkr) =>
        {
            ask_csr(vcpu, access)
        }
        _ => illegal(vcpu, insn),
    }
}

/// Returns the value of a counter, or [`None`] if the access is illegal.
fn read_counter(vcpu: &LoadedVcpu<'_, Riscv>, access: CsrInsn) -> Option<u64> {
    let index = u32::from(access.csr - csr::CYCLE);
    if access.writes() || !counter_allowed(vcpu, index) {
        return None;
    }
    let local = vcpu.local();
    let counters = local.pmu.counters();
    match counters.filter(|_| local.sbi.get().has(SbiExtId::Pmu)) {
        // What a counter holds that counts nothing is not defined, and KVM has always let it trap.
        Some(counters) => pmu::value(vcpu, counters.hardware(index.into())?),
        // Without a PMU, these two counters read as zero. They were once part of the base ISA, so
        // software reads them without looking for them first.
        None => matches!(index, CYCLE | INSTRET).then_some(0),
    }
}

/// Completes an access that has read `value`.
fn finish_csr(vcpu: &LoadedVcpu<'_, Riscv>, access: CsrInsn, value: u64) -> Next {
    completion::finish_csr(Regs::of(vcpu), access, value);
    vcpu.count(vcpu_counter!(csr_exit_kernel));
    Next::Enter
}

/// Leaves an access to user space.
fn ask_csr(vcpu: &LoadedVcpu<'_, Riscv>, access: CsrInsn) -> Next {
    vcpu.count(vcpu_counter!(csr_exit_user));
    completion::ask_csr(vcpu, access);
    Next::Return
}

/// Returns whether the guest, in the mode that it is in, may access the supervisor CSRs of the AIA.
fn may_access_aia(vcpu: &LoadedVcpu<'_, Riscv>) -> bool {
    Regs::of(vcpu).sstatus().spp().into_bool() && vcpu.local().isa.get().has(IsaExtId::Ssaia)
}

/// Returns whether the guest may read counter number `counter`: its kernel may always, its user
/// mode only if `scounteren` permits.
fn counter_allowed(vcpu: &LoadedVcpu<'_, Riscv>, counter: u32) -> bool {
    Regs::of(vcpu).sstatus().spp().into_bool()
        || vcpu.local().user_csrs.get().scounteren & 1 << counter != 0
}
