// SPDX-License-Identifier: GPL-2.0

//! `KVM_RUN`: enter the guest, handle why it stopped, and again.

#![deny(unsafe_code)]

use crate::{
    enter_exit::enter_exit,
    exit::{
        self,
        Next,
        Trap, //
    },
    pending,
    power,
    tlb,
    trace,
    vcpu::{
        self,
        Stale, //
    },
    vector,
    vm,
    vmid::{
        self,
        Vmid, //
    },
    Riscv, //
};
use kernel::{
    cpu::CpuId,
    kvm::{
        context::work_pending,
        stats::vcpu_counter,
        ExitReason,
        IrqOff,
        LoadedVcpu,
        LockedVcpu,
        PreemptOff,
        SrcuGuard, //
    },
    prelude::*, //
};

/// Handles `KVM_RUN`.
pub(crate) fn run(vcpu: &LockedVcpu<'_, Riscv>) -> Result {
    if !vcpu.local().has_run.replace(true) {
        vcpu::update_config(vcpu);
    }
    pending::complete(vcpu);
    if !vcpu.wants_to_run() {
        return Err(EINTR);
    }
    vcpu.with_loaded(|vcpu| {
        vcpu.run_area().set_exit_reason(ExitReason::Unknown);
        let mut srcu = vcpu.srcu_read_lock();
        loop {
            vcpu.handle_work()?;
            if vcpu.request_pending() && handle_requests(vcpu, &mut srcu)? == Next::Return {
                return Ok(());
            }
            let Some(trap) = enter(vcpu, &mut srcu)? else {
                continue;
            };
            if exit::handle(vcpu, &mut srcu, &trap)? == Next::Return {
                return Ok(());
            }
        }
    })
}

/// Handles the requests that may sleep or that take the vCPU off the hart. Those that need it there
/// are handled in [`prepare_hart`].
fn handle_requests(vcpu: &LoadedVcpu<'_, Riscv>, srcu: &mut SrcuGuard<'_, Riscv>) -> Result<Next> {
    // The request that tells so is never taken back.
    if vcpu.vm().is_dead() {
        return Err(EIO);
    }
    let power = &vcpu.shared().power;
    if vcpu.take_request(power::SLEEP) {
        vcpu.wait_until(srcu, || !power.is_stopped());
        if power.is_stopped() {
            // A signal came first: sleep on when it has been handled.
            vcpu.request(power::SLEEP);
        }
    }
    if vcpu.take_request(power::RESET) {
        let start = power.start();
        let args = [vm::hartid(vcpu), start.opaque];
        vcpu.with_unloaded(|vcpu| vcpu::reset(vcpu, start.pc, args));
    }
    if vcpu.dirty_ring_full() {
        return Ok(Next::Return);
    }
    Ok(Next::Enter)
}

/// Enters the guest. Returns [`None`] if there is something to do first.
fn enter(vcpu: &LoadedVcpu<'_, Riscv>, srcu: &mut SrcuGuard<'_, Riscv>) -> Result<Option<Trap>> {
    let vm = vcpu.vm().backend();
    if vm.vmid.current().is_none() {
        vm.vmid.renew();
    }

    let preempt = PreemptOff::new();
    let vmid = vm.vmid.last();
    prepare_hart(vcpu, &preempt, vmid);

    let mut irq = IrqOff::new(&preempt);
    let result = vcpu.in_guest_mode(srcu, &mut irq, |irq| {
        vcpu.shared().interrupts.flush(&preempt);
        // Whatever comes from now on comes with an interrupt, which the guest does not outlast.
        if vm.vmid.current() != Some(vmid) || vcpu.request_pending() || work_pending() {
            return Ok(None);
        }
        vector::enter(vcpu, irq.token());
        trace::entry(vcpu);
        let trap = irq.with_guest_timing(|irq| enter_exit(vcpu, &vcpu.local().env, irq));
        trap.map(Some)
    });
    drop(irq);
    match result {
        Ok(Some(trap)) => {
            trace::exit(&trap);
            drop(preempt);
            vcpu.count(vcpu_counter!(exits));
            Ok(Some(trap))
        }
        Ok(None) => Ok(None),
        Err(e) => {
            kernel::pr_err_once!("NACL: SYNC_SRET failed with SBI error {}\n", e.0);
            Err(EIO)
        }
    }
}

/// Puts on the hart what depends on the VM's VMID, and makes the hart forget what it must not use.
#[inline]
fn prepare_hart(vcpu: &LoadedVcpu<'_, Riscv>, preempt: &PreemptOff, vmid: Vmid) {
    let vm = vcpu.vm().backend();
    let local = vcpu.local();
    if local.hgatp_vmid.get() != vmid {
        vm.gstage.load_hgatp(preempt, vmid);
        local.hgatp_vmid.set(vmid);
        if !vmid::in_use() {
            // All VMs share the one VMID.
            local.stale.set(Stale::Everything);
        }
    }
    if local.stale.get() != Stale::Nothing {
        if local.stale.get() == Stale::Everything {
            tlb::fence_all_gpas(preempt, vmid);
        }
        tlb::fence_all_gvas(preempt, vmid);
        let cpu = CpuId::current().as_u32();
        vm.note_running(cpu, vcpu.index());
        local.last_cpu.set(Some(cpu));
        local.stale.set(Stale::Nothing);
    }
    if vcpu.request_pending() {
        tlb::handle_requests(vcpu, preempt, vmid);
    }
}
