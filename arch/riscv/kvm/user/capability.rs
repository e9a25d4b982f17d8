// SPDX-License-Identifier: GPL-2.0

//! `KVM_CHECK_EXTENSION` and `KVM_ENABLE_CAP`.

use crate::{
    abi::pte::Mode,
    hart::features,
    mmu::table::Tree,
    vm::MAX_MODE,
    Riscv, //
};
use kernel::{
    bindings,
    kvm::Vm,
    prelude::*,
    sync::atomic::ordering::Relaxed, //
};

/// Handles `KVM_CHECK_EXTENSION`, for what the core leaves to an architecture.
pub(crate) fn check_extension(vm: Option<&Vm<Riscv>>, capability: u32) -> i32 {
    match capability {
        bindings::KVM_CAP_IOEVENTFD
        | bindings::KVM_CAP_ONE_REG
        | bindings::KVM_CAP_READONLY_MEM
        | bindings::KVM_CAP_MP_STATE
        | bindings::KVM_CAP_IMMEDIATE_EXIT
        | bindings::KVM_CAP_PRE_FAULT_MEMORY
        | bindings::KVM_CAP_MEMORY_FAULT_INFO
        | bindings::KVM_CAP_SET_GUEST_DEBUG => 1,
        bindings::KVM_CAP_IRQCHIP => i32::from(features::ssaia()),
        bindings::KVM_CAP_NR_VCPUS => {
            let online = kernel::kvm::online_cpus();
            online.min(bindings::KVM_MAX_VCPUS) as i32
        }
        bindings::KVM_CAP_MAX_VCPUS => bindings::KVM_MAX_VCPUS as i32,
        bindings::KVM_CAP_VM_GPA_BITS => {
            let mode = vm.map(|vm| vm.backend().gstage.mode());
            mode.or(MAX_MODE.as_ref().copied())
                .map_or(0, |mode| mode.gpa_bits() as i32)
        }
        _ => 0,
    }
}

/// Handles `KVM_ENABLE_CAP`.
pub(crate) fn enable_cap(vm: &Vm<Riscv>, capability: u32, flags: u32, args: [u64; 4]) -> Result {
    if flags != 0 {
        return Err(EINVAL);
    }
    match capability {
        bindings::KVM_CAP_RISCV_MP_STATE_RESET => {
            vm.backend().mp_state_reset.store(true, Relaxed);
            Ok(())
        }
        bindings::KVM_CAP_VM_GPA_BITS => {
            let mode = Mode::for_gpa_bits(args[0]).ok_or(EINVAL)?;
            if Some(mode) > MAX_MODE.as_ref().copied() {
                return Err(EINVAL);
            }
            vm.if_unused(|unused| Tree::set_mode(unused, mode))
                .ok_or(EBUSY)
        }
        _ => Err(EINVAL),
    }
}
