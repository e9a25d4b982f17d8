// SPDX-License-Identifier: GPL-2.0

//! What a backend implements.
//!
//! Each trait has a macro in [`exports`](super::exports) that emits its entry points.

use super::{
    addr::{
        Gfn,
        GfnRange,
        Gpa, //
    },
    context::{
        NoVcpu,
        PreemptOff, //
    },
    irqchip::Msi,
    memslot::{
        MemoryChange,
        Memslot, //
    },
    mmu::{
        MmuLocked,
        MmuWriteGuard, //
    },
    timer::VcpuTimerRestart,
    vcpu::{
        LoadPermit,
        LoadedVcpu,
        LockedVcpu,
        NewVcpu,
        Vcpu,
        VcpuId, //
    },
    vm::Vm,
    vm_lock::VmLock, //
};
use crate::{
    cpu::CpuId,
    prelude::*,
    uaccess::UserPtr, //
};

/// The types of a backend's state.
pub trait Backend: Sized + 'static {
    /// State of a VM.
    type Vm: Send + Sync;

    /// State of a vCPU that any thread may use.
    type VcpuShared: Send + Sync;

    /// State of a vCPU that only the holder of its mutex may use.
    type VcpuLocal: VcpuLocal;
}

/// State of a vCPU that only the holder of its mutex may use, and that the hooks
/// [`load`](VcpuOps::load) and [`put`](VcpuOps::put) find as it is.
///
/// The hooks run in the middle of whatever the thread of a loaded vCPU does, as an interrupt does.
/// The borrow checker does not see that: to it, all of this is one thread, which may hold a
/// [`Cell`](core::cell::Cell).
///
/// # Safety
///
/// While the vCPU is loaded and preemption is enabled, nobody may access a value that a hook
/// writes, nor write a value that a hook reads.
pub unsafe trait VcpuLocal: Send {}

/// The backend whose entry points are linked into the module, so that all vCPUs and VMs are its
/// own.
///
/// The entry points for VMs and for their memory want it, too: each must know the state that the
/// others have made.
///
/// # Safety
///
/// Only [`kvm_vcpu_ops!`](crate::kvm_vcpu_ops) may implement it: it emits the entry points that
/// make vCPUs, and two backends that emit them cannot be linked together.
pub unsafe trait LinkedBackend: VcpuOps {}

/// Switching virtualization on and off, hart by hart.
pub trait HardwareOps {
    /// Switches it on for this CPU. Called with interrupts disabled or migration excluded.
    fn enable_cpu(no_vcpu: &NoVcpu) -> Result;

    /// Switches it off for this CPU; no guest runs there any more.
    fn disable_cpu();
}

/// VMs.
pub trait VmOps: Backend {
    /// Returns an initializer for the state of a new VM. `kind` is the argument of `KVM_CREATE_VM`.
    fn create(kind: usize) -> Result<impl PinInit<Self::Vm, Error>>;

    /// Returns the answer to `KVM_CHECK_EXTENSION`, on a VM or on `/dev/kvm`.
    fn check_extension(vm: Option<&Vm<Self>>, capability: u32) -> i32;

    /// Handles `KVM_ENABLE_CAP`.
    fn enable_cap(vm: &Vm<Self>, capability: u32, flags: u32, args: [u64; 4]) -> Result;
}

/// The run state of a vCPU, as `KVM_GET_MP_STATE` and `KVM_SET_MP_STATE` have it.
pub type MpState = u32;

/// What the entry points for ioctls answer.
pub type IoctlResult = Result<isize>;

/// vCPUs.
pub trait VcpuOps: Backend {
    /// The flags (`KVM_GUESTDBG_*`) that `KVM_SET_GUEST_DEBUG` may have. Others are [`EINVAL`].
    const GUEST_DEBUG: u32;

    /// Says whether a vCPU with this identifier may be created. If so, it counts as being created
    /// when the lock is released.
    fn precreate(vm: &VmLock<'_, Self>, id: VcpuId) -> Result {
        let _ = (vm, id);
        Ok(())
    }

    /// Returns the two parts of the state of a new vCPU.
    fn create(
        vcpu: &NewVcpu<'_, Self>,
    ) -> Result<(impl PinInit<Self::VcpuShared, Error>, Self::VcpuLocal)>;

    /// Completes a vCPU whose state has been put in place.
    fn created(vcpu: &LockedVcpu<'_, Self>);

    /// Called once the vCPU can be reached.
    fn postcreate(vcpu: &Vcpu<Self>);

    /// Called before a vCPU is destroyed, which nobody else can reach any more.
    fn destroy(vcpu: &Vcpu<Self>) {
        let _ = vcpu;
    }

    /// Puts the guest's state on this hart. May run in the middle of a context switch.
    fn load(vcpu: &LockedVcpu<'_, Self>, cpu: CpuId, preempt: &PreemptOff);

    /// Takes the guest's state off this hart. May run in the middle of a context switch.
    fn put(vcpu: &LockedVcpu<'_, Self>, preempt: &PreemptOff);

    /// Handles `KVM_RUN`. `permit` is to load the vCPU.
    fn run(vcpu: &LockedVcpu<'_, Self>, permit: LoadPermit<'_, Self>) -> Result;

    /// Handles an ioctl that the core does not know.
    fn ioctl(vcpu: &LockedVcpu<'_, Self>, cmd: u32, arg: UserPtr) -> IoctlResult;

    /// Handles an ioctl that must not wait for the vCPU's mutex. `None` leaves it to the core.
    fn unlocked_ioctl(vcpu: &Vcpu<Self>, cmd: u32, arg: UserPtr) -> Option<IoctlResult>;

    /// Handles `KVM_GET_MP_STATE`.
    fn mp_state(vcpu: &LockedVcpu<'_, Self>) -> MpState;

    /// Handles `KVM_SET_MP_STATE`.
    fn set_mp_state(vcpu: &LockedVcpu<'_, Self>, state: MpState) -> Result;

    /// Called when `KVM_SET_GUEST_DEBUG` has changed the result of [`LockedVcpu::guest_debug`].
    fn guest_debug_changed(vcpu: &LockedVcpu<'_, Self>);

    /// Returns whether the vCPU has something to do, so that it must not sleep.
    fn runnable(vcpu: &Vcpu<Self>) -> bool;

    /// Returns whether the guest's timer has expired.
    fn has_pending_timer(vcpu: &Vcpu<Self>) -> bool;

    /// Returns whether the guest was in its kernel when it stopped last. A hint.
    fn in_kernel(vcpu: &Vcpu<Self>) -> bool;

    /// Returns where the guest was when it stopped last. A hint.
    fn instruction_pointer(vcpu: &Vcpu<Self>) -> usize;

    /// Called in interrupt context when the [timer](super::VcpuTimer) of a vCPU has expired.
    fn timer_expired(vcpu: &Vcpu<Self>) -> VcpuTimerRestart;

    /// Called in interrupt context when a [counter](super::PerfCounters) of a vCPU has overflowed,
    /// on the CPU that the vCPU's thread runs on.
    fn counter_overflowed(vcpu: &Vcpu<Self>, index: u32);
}

/// An interrupt controller in the kernel.
///
/// The core delivers interrupts from ioctls, from work items, and from where an eventfd is
/// signaled: with the spinlock of a wait queue held, and with interrupts disabled, be it in the
/// handler of one. So [`set_line`](Self::set_line) and [`send_msi`](Self::send_msi) may be called
/// in any context. They must not sleep, and their locks must be
/// [raw spinlocks](crate::raw_spinlock).
pub trait IrqchipOps: Backend {
    /// Returns whether the VM has the controller. From `true`, the answer never changes.
    fn in_kernel(vm: &Vm<Self>) -> bool;

    /// Sets the level of a wire, for `KVM_IRQ_LINE` or because a route leads there. `pin` is any
    /// number that user space has chosen.
    ///
    /// Called only if the VM has the controller. If a signaled eventfd leads here and this returns
    /// [`EAGAIN`], then a work item calls this again.
    fn set_line(vm: &Vm<Self>, pin: u32, level: bool) -> Result;

    /// Delivers a message, for `KVM_SIGNAL_MSI` or because a route has it. Returns whether a vCPU
    /// has got it: a message to where the guest has nothing that takes it is no error.
    ///
    /// Called only if the VM has the controller. [`EAGAIN`] is as for [`set_line`](Self::set_line).
    fn send_msi(vm: &Vm<Self>, msi: Msi) -> Result<bool>;
}

/// The guest's memory.
///
/// # Safety
///
/// The host gives the memory to somebody else after the core has called
/// [`unmap_all`](Self::unmap_all), [`unmap_slot`](Self::unmap_slot) or
/// [`unmap_range`](Self::unmap_range) for it. From their return on, and from the flush of TLBs that
/// the last may ask for, no CPU may access the frames by what was mapped before.
pub unsafe trait MmuOps: Backend {
    /// Unmaps everything; no vCPU runs any more.
    fn unmap_all(vm: &Vm<Self>);

    /// Unmaps a memslot that is about to go or to move.
    fn unmap_slot(vm: &Vm<Self>, slot: &Memslot<'_>);

    /// Returns an error if a memslot may not be changed so.
    fn prepare_slot(vm: &Vm<Self>, new: Option<&Memslot<'_>>, change: MemoryChange) -> Result;

    /// Called after a memslot has been changed so.
    fn commit_slot(vm: &Vm<Self>, new: Option<&Memslot<'_>>, change: MemoryChange);

    /// Maps the guest's memory at `gpa` as if the guest had read it, for `KVM_PRE_FAULT_MEMORY`.
    /// Returns how many bytes from `gpa` on are mapped, at least 1.
    fn pre_fault(vcpu: &LoadedVcpu<'_, Self>, gpa: Gpa) -> Result<u64>;

    /// Unmaps a range whose pages the host is about to take away.
    ///
    /// Returns whether TLBs have to be flushed; the backend may have done so itself. May give up
    /// the lock in between if `may_yield`.
    fn unmap_range(mmu: &mut MmuWriteGuard<'_, Self>, gfns: GfnRange, may_yield: bool) -> bool;

    /// Returns whether a range has been accessed since the last call, and clears the record of it.
    fn age_range(mmu: &MmuLocked<'_, Self>, gfns: GfnRange) -> bool;

    /// Returns whether a range has been accessed since the last call of
    /// [`age_range`](Self::age_range).
    fn test_age_range(mmu: &MmuLocked<'_, Self>, gfns: GfnRange) -> bool;

    /// Write-protects the frames `base + i` for each bit `i` of `mask`. The core flushes TLBs. May
    /// give up the lock in between.
    fn log_dirty_masked(mmu: &mut MmuWriteGuard<'_, Self>, base: Gfn, mask: u64);

    /// Makes all vCPUs fence a range before they enter the guest again, and waits for those that
    /// are in the guest.
    fn flush_remote_tlbs(vm: &Vm<Self>, gfns: GfnRange);
}
