// SPDX-License-Identifier: GPL-2.0

//! A VM: its state and its capabilities.

#![deny(unsafe_code)]

use crate::{
    abi::{
        pte::Mode,
        sbi::HartMask, //
    },
    mmu::{
        gstage::GStage,
        vmid::VmVmid, //
    },
    vcpu::{
        timer::GuestTime,
        Stale, //
    },
    Riscv, //
};
use kernel::{
    bindings,
    cpu::nr_cpu_ids,
    kvm::{
        atomic::Once,
        Vcpu,
        VcpuId,
        VcpuTable,
        Vm, //
    },
    prelude::*,
    sync::{
        atomic::{
            ordering::Relaxed,
            Atomic,
            AtomicFlag, //
        },
        SetOnce, //
    },
};

/// The widest translation scheme of the host's harts.
pub(crate) static MAX_MODE: SetOnce<Mode> = SetOnce::new();

/// State of a VM.
pub(crate) struct VmState {
    /// The guest's harts.
    pub(crate) vcpus: VcpuTable<Riscv>,
    /// The guest's memory.
    pub(crate) gstage: GStage,
    /// The VMID.
    pub(crate) vmid: VmVmid,
    /// The guest's time.
    pub(crate) time: GuestTime,
    /// For each CPU, the index of the vCPU that has last run there, or -1.
    last_vcpu: KVec<Atomic<i32>>,
    /// User space wants `KVM_MP_STATE_INIT_RECEIVED` to reset a vCPU.
    pub(crate) mp_state_reset: AtomicFlag,
}

impl VmState {
    /// Returns the state of a new VM.
    pub(crate) fn new() -> Result<impl PinInit<Self, Error>> {
        let mode = *MAX_MODE.as_ref().ok_or(ENODEV)?;
        let mut last_vcpu = KVec::with_capacity(nr_cpu_ids() as usize, GFP_KERNEL_ACCOUNT)?;
        for _ in 0..nr_cpu_ids() {
            last_vcpu.push(Atomic::new(-1), GFP_KERNEL_ACCOUNT)?;
        }
        Ok(try_init!(Self {
            vcpus: VcpuTable::new(),
            gstage: GStage::new(mode)?,
            vmid: VmVmid::new(),
            time: GuestTime::new(),
            last_vcpu,
            mp_state_reset: AtomicFlag::new(false),
        }))
    }

    /// Returns what of the TLB of CPU `cpu` a vCPU must not use that has last run on `last_cpu`.
    ///
    /// Fences follow the vCPU, so what another hart was told, this one was not. And vCPUs of one VM
    /// share its VMID, while each has its own ASIDs.
    #[inline]
    pub(crate) fn stale_on(&self, cpu: u32, vcpu: i32, last_cpu: Option<u32>) -> Stale {
        let last_vcpu = self.last_vcpu.get(cpu as usize).map_or(-1, Once::read_once);
        if last_cpu != Some(cpu) {
            Stale::Everything
        } else if last_vcpu != vcpu {
            Stale::VsStage
        } else {
            Stale::Nothing
        }
    }

    /// Notes that a vCPU is about to run on CPU `cpu`.
    #[inline]
    pub(crate) fn note_running(&self, cpu: u32, vcpu: i32) {
        if let Some(last) = self.last_vcpu.get(cpu as usize) {
            last.write_once(vcpu);
        }
    }
}

/// Returns the number that the guest knows a vCPU's hart by.
#[inline]
pub(crate) fn hartid(vcpu: &Vcpu<Riscv>) -> u64 {
    u64::from(vcpu.id().0)
}

/// Returns the vCPUs that are the harts of a mask.
#[inline]
pub(crate) fn harts(vm: &Vm<Riscv>, mask: HartMask) -> impl Iterator<Item = &Vcpu<Riscv>> + Clone {
    let all = if mask.is_all() { vm.online_vcpus() } else { 0 };
    let named = mask
        .iter()
        .filter_map(|hartid| vm.vcpu_by_id(VcpuId(u32::try_from(hartid).ok()?)));
    let all = (0..all).filter_map(|index| vm.vcpu(index));
    Iterator::chain(all, named)
}

/// Returns whether it takes no time to go through the harts of a mask, so that it may be done with
/// interrupts disabled. It is not if there are many, or some that there are not.
#[inline]
pub(crate) fn are_near(vm: &Vm<Riscv>, mask: HartMask) -> bool {
    if mask.is_all() {
        return vm.has_few_vcpus();
    }
    mask.iter()
        .all(|hartid| u32::try_from(hartid).is_ok_and(|id| vm.near_vcpu(VcpuId(id)).is_some()))
}

/// Handles `KVM_CHECK_EXTENSION`.
pub(crate) fn check_extension(vm: Option<&Vm<Riscv>>, capability: u32) -> i32 {
    match capability {
        bindings::KVM_CAP_IOEVENTFD
        | bindings::KVM_CAP_USER_MEMORY
        | bindings::KVM_CAP_DESTROY_MEMORY_REGION_WORKS
        | bindings::KVM_CAP_ONE_REG
        | bindings::KVM_CAP_READONLY_MEM
        | bindings::KVM_CAP_MP_STATE
        | bindings::KVM_CAP_IMMEDIATE_EXIT
        | bindings::KVM_CAP_SET_GUEST_DEBUG => 1,
        bindings::KVM_CAP_NR_VCPUS => {
            let online = kernel::kvm::online_cpus();
            online.min(bindings::KVM_MAX_VCPUS) as i32
        }
        bindings::KVM_CAP_MAX_VCPUS => bindings::KVM_MAX_VCPUS as i32,
        // The identifier of a slot is a `short`.
        bindings::KVM_CAP_NR_MEMSLOTS => i32::from(i16::MAX),
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
            vm.if_unused(|| vm.backend().gstage.set_mode(mode))
                .ok_or(EBUSY)
        }
        _ => Err(EINVAL),
    }
}
