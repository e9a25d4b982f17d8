// SPDX-License-Identifier: GPL-2.0

//! Which vCPUs a hart mask of the guest names (SBI specification, "Hart list parameter").

use crate::{
    abi::sbi::{
        HartMask,
        SbiError, //
    },
    exits::MAX_VISITED,
    Riscv, //
};
use kernel::kvm::{
    Vcpu,
    VcpuId,
    Vm, //
};

/// Returns the hart ID of a vCPU.
#[inline]
pub(crate) fn hartid(vcpu: &Vcpu<Riscv>) -> u64 {
    u64::from(vcpu.id().0)
}

/// Returns the vCPUs whose harts a mask names. A hart that does not exist is left out.
#[inline]
pub(crate) fn harts(vm: &Vm<Riscv>, mask: HartMask) -> impl Iterator<Item = &Vcpu<Riscv>> + Clone {
    let all = if mask.is_all() { vm.online_vcpus() } else { 0 };
    let named = mask
        .iter()
        .filter_map(|hartid| vm.vcpu_by_id(VcpuId(u32::try_from(hartid).ok()?)));
    let all = (0..all).filter_map(|index| vm.vcpu(index));
    Iterator::chain(all, named)
}

/// Returns whether the mask names so few harts, and each is found so quickly, that they can be
/// visited with interrupts disabled.
#[inline]
pub(crate) fn are_few(vm: &Vm<Riscv>, mask: HartMask) -> bool {
    if mask.is_all() {
        return vm.online_vcpus() <= MAX_VISITED;
    }
    mask.names_at_most(MAX_VISITED)
        && mask.iter().all(|hartid| {
            u32::try_from(hartid).is_ok_and(|id| vm.vcpu_in_table(VcpuId(id)).is_some())
        })
}

/// Fails if a mask, of which `found` [harts] were found, names others.
#[inline]
pub(crate) fn require_all(mask: HartMask, found: usize) -> Result<u64, SbiError> {
    match mask.count() {
        Some(count) if count as usize != found => Err(SbiError::InvalidParam),
        _ => Ok(0),
    }
}
