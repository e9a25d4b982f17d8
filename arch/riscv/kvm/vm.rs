// SPDX-License-Identifier: GPL-2.0

//! The state of a VM.

use crate::{
    abi::{
        pte::Mode,
        warl::SatpSupport, //
    },
    mmu::{
        table::Tree,
        tlb::TlbOwners,
        vmid::VmVmid, //
    },
    vcpu::timer::GuestTime, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::AtomicFlag,
        SetOnce, //
    },
};

/// The widest G-stage translation scheme of the host's harts.
pub(crate) static MAX_MODE: SetOnce<Mode> = SetOnce::new();

/// What `vsatp` of the host's harts supports.
pub(crate) static SATP_SUPPORT: SetOnce<SatpSupport> = SetOnce::new();

/// The state of a VM.
pub(crate) struct VmState {
    /// The guest's page table.
    pub(crate) gstage: Tree,
    /// The VMID of the VM.
    pub(crate) vmid: VmVmid,
    /// The guest's time.
    pub(crate) time: GuestTime,
    /// The vCPUs whose translations the TLBs hold.
    pub(crate) tlb_owners: TlbOwners,
    /// Whether user space has enabled `KVM_MP_STATE_INIT_RECEIVED`, which resets a vCPU.
    pub(crate) mp_state_reset: AtomicFlag,
}

impl VmState {
    /// Returns the state of a new VM.
    pub(crate) fn new() -> Result<impl PinInit<Self, Error>> {
        let mode = *MAX_MODE.as_ref().ok_or(ENODEV)?;
        Ok(try_init!(Self {
            gstage: Tree::new(mode)?,
            vmid: VmVmid::new(),
            time: GuestTime::new(),
            tlb_owners: TlbOwners::new()?,
            mp_state_reset: AtomicFlag::new(false),
        }))
    }
}
