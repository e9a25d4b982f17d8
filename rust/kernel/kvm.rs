// SPDX-License-Identifier: GPL-2.0

//! Kernel-based Virtual Machine: what a backend for an architecture needs of the KVM core.
//!
//! A backend implements the traits of [`backend`] for one type and names that type in the macros of
//! `exports`, which emit the `extern "C"` entry points that the core calls. Raw pointers become
//! references, and `Result` becomes an errno, there and nowhere else. Nothing in this module knows
//! the architecture.
//!
//! What a thread may touch follows from what it holds:
//!
//! | token | proves | gives |
//! | --- | --- | --- |
//! | [`&Vm`](Vm), [`&Vcpu`](Vcpu) | the object is alive | atomics and locks |
//! | [`VmLock`] | `kvm->lock` is held | a VM that gets no vCPU and no device |
//! | [`AllVcpus`] | the mutexes of all vCPUs are held | all their private state |
//! | [`LockedVcpu`] | `vcpu->mutex` is held, or the vCPU is not shared yet | its private state |
//! | [`RunningVcpu`] | the same, on top of whatever the thread does | atomics |
//! | [`LoadedVcpu`] | the vCPU is loaded: this hart's guest CSRs are its own | the guest's CSRs |
//! | [`PreemptOff`] | no preemption | what must stay on one hart |
//! | [`NoVcpu`] | no vCPU is loaded on this CPU | the registers by which guests run |
//! | [`GuestMode`] | no interrupt; whoever wants the vCPU sends one | running the guest |
//! | [`SrcuGuard`] | an SRCU read-side section of the VM | memslots that can be faulted in |
//! | [`MmuReadGuard`], [`MmuWriteGuard`] | `kvm->mmu_lock` is held | page tables |
//!
//! # Linking
//!
//! The `kernel` crate is part of vmlinux while the KVM core may be a module, so no code in here
//! that calls the core may be compiled into the `kernel` crate. Every such function is generic over
//! the backend, or `#[inline]`: either way it is compiled where it is used, which is the backend's
//! crate.
//!
//! C header: [`include/linux/kvm_host.h`](srctree/include/linux/kvm_host.h)

mod addr;
pub mod backend;
pub mod context;
mod device;
#[doc(hidden)]
pub mod exports;
pub mod guest_mode;
pub(crate) mod hot;
mod hrtimer_restart;
mod irqchip;
mod log;
mod memslot;
mod mmu;
mod perf;
mod registration;
mod request;
mod run;
mod run_delay;
#[doc(hidden)]
pub mod shims;
pub mod stats;
mod timer;
mod vcpu;
mod vcpu_table;
mod vm;
mod vm_lock;

pub use self::{
    addr::{
        Gfn,
        GfnRange,
        Gpa,
        Gva,
        Hva,
        Pfn, //
    },
    context::{
        NoVcpu,
        PreemptOff, //
    },
    device::{
        DeviceAttr,
        DeviceOps,
        DeviceRegistration, //
    },
    guest_mode::{
        GuestMode,
        GuestStages, //
    },
    irqchip::{
        Msi,
        IRQCHIP_PINS, //
    },
    log::may_log,
    memslot::{
        ActiveMemslot,
        MemoryChange,
        Memslot,
        SrcuGuard, //
    },
    mmu::{
        signal_hwpoison,
        Backing,
        FaultedPage,
        KernelBlock,
        MemoryCache,
        MmuGuard,
        MmuLocked,
        MmuReadGuard,
        MmuSeq,
        MmuWriteGuard,
        PageFault,
        PageTablePage,
        ENTRIES,
        MAX_NEIGHBOURS, //
    },
    perf::{
        PerfCounters,
        PerfEventAttr, //
    },
    registration::{
        Registration,
        Unregistered, //
    },
    request::Request,
    run::{
        ExitReason,
        RunArea, //
    },
    run_delay::RunDelay,
    timer::{
        VcpuTimer,
        VcpuTimerRestart, //
    },
    vcpu::{
        with_running,
        LoadPermit,
        LoadedVcpu,
        LockedVcpu,
        NewVcpu,
        RunningVcpu,
        Vcpu,
        VcpuId, //
    },
    vm::{
        online_cpus,
        UnusedVm,
        Vm, //
    },
    vm_lock::{
        AllVcpus,
        VcpuGuard,
        VmLock, //
    },
};
