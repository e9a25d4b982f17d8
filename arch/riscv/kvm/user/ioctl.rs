// SPDX-License-Identifier: GPL-2.0

//! The ioctls of a vCPU that the KVM core leaves to the architecture.

use crate::{
    hart::csr::VsInterrupt,
    user::one_reg,
    vcpu::{
        self,
        aia,
        interrupts,
        power,
        timer, //
    },
    Riscv, //
};
use kernel::{
    bindings,
    ioctl::{
        _IOW,
        _IOWR, //
    },
    kvm::{
        backend::{
            IoctlResult,
            MpState, //
        },
        LockedVcpu,
        Vcpu, //
    },
    prelude::*,
    sync::atomic::ordering::Relaxed,
    uaccess::{
        UserPtr,
        UserSlice, //
    },
};

const KVMIO: u32 = bindings::KVMIO;
const KVM_INTERRUPT: u32 = _IOW::<bindings::kvm_interrupt>(KVMIO, 0x86);
const KVM_GET_ONE_REG: u32 = _IOW::<bindings::kvm_one_reg>(KVMIO, 0xab);
const KVM_SET_ONE_REG: u32 = _IOW::<bindings::kvm_one_reg>(KVMIO, 0xac);
// The structure ends in an array without elements.
const KVM_GET_REG_LIST: u32 = _IOWR::<u64>(KVMIO, 0xb0);

/// Handles an ioctl with the vCPU's mutex held.
pub(crate) fn ioctl(vcpu: &LockedVcpu<'_, Riscv>, cmd: u32, arg: UserPtr) -> IoctlResult {
    match cmd {
        KVM_GET_ONE_REG | KVM_SET_ONE_REG => {
            // `struct kvm_one_reg`: the identifier, and the address of the value.
            let mut reader = UserSlice::new(arg, size_of::<bindings::kvm_one_reg>()).reader();
            let id = reader.read::<u64>()?;
            let value = UserPtr::from_addr(reader.read::<u64>()? as usize);
            vcpu::begin_if_started(vcpu);
            timer::follow_time(vcpu);
            if cmd == KVM_GET_ONE_REG {
                one_reg::get(vcpu, id, value)?;
            } else {
                one_reg::set(vcpu, id, value)?;
            }
        }
        KVM_GET_REG_LIST => one_reg::list(vcpu, arg)?,
        _ => return Err(EINVAL),
    }
    Ok(0)
}

/// Handles an ioctl that does not wait for the vCPU's mutex.
pub(crate) fn unlocked_ioctl(vcpu: &Vcpu<Riscv>, cmd: u32, arg: UserPtr) -> Option<IoctlResult> {
    (cmd == KVM_INTERRUPT).then(|| {
        let mut reader = UserSlice::new(arg, size_of::<u32>()).reader();
        let level = reader.read::<u32>()? == bindings::KVM_INTERRUPT_SET as u32;
        interrupts::set(vcpu, VsInterrupt::External, level);
        Ok(0)
    })
}

/// Handles `KVM_GET_MP_STATE`.
pub(crate) fn mp_state(vcpu: &LockedVcpu<'_, Riscv>) -> MpState {
    if vcpu.shared().power.is_stopped() {
        bindings::KVM_MP_STATE_STOPPED
    } else {
        bindings::KVM_MP_STATE_RUNNABLE
    }
}

/// Handles `KVM_SET_MP_STATE`.
pub(crate) fn set_mp_state(vcpu: &LockedVcpu<'_, Riscv>, state: MpState) -> Result {
    match state {
        bindings::KVM_MP_STATE_RUNNABLE => power::resume(vcpu),
        bindings::KVM_MP_STATE_STOPPED => {
            power::stop(vcpu);
        }
        bindings::KVM_MP_STATE_INIT_RECEIVED
            if vcpu.vm().backend().mp_state_reset.load(Relaxed) =>
        {
            power::forget_start(vcpu);
            vcpu::prepare_reset(vcpu);
            vcpu.shared().interrupts.lower_all();
            aia::reset(vcpu);
            vcpu::reset(vcpu, 0, [0, 0]);
        }
        _ => return Err(EINVAL),
    }
    Ok(())
}
