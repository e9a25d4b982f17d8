// SPDX-License-Identifier: GPL-2.0

//! Whether a vCPU is started, which the guest decides (SBI HSM) and user space (`KVM_SET_MP_STATE`).

use crate::{
    abi::sbi::SbiError,
    Riscv, //
};
use kernel::{
    kvm::{
        LockedVcpu,
        Request,
        Vcpu,
        Vm, //
    },
    new_spinlock,
    prelude::*,
    sync::{
        atomic::{
            ordering::{
                Acquire,
                Release, //
            },
            Atomic, //
        },
        SpinLock, //
    },
};

/// Wait until started.
pub(crate) const SLEEP: Request = Request::arch(0).wait_no_wakeup();
/// Begin at where the hart was started.
pub(crate) const RESET: Request = Request::arch(1);

/// Where a hart begins when it is started.
#[derive(Clone, Copy, Default)]
pub(crate) struct EntryPoint {
    /// The address of the first instruction.
    pub(crate) pc: u64,
    /// The value of `a1`.
    pub(crate) opaque: u64,
}

/// The power state of a vCPU.
#[pin_data]
pub(crate) struct Power {
    /// Whether the hart is stopped. Written under `lock`, read by any thread.
    stopped: Atomic<bool>,
    /// Where the hart was started last.
    #[pin]
    lock: SpinLock<EntryPoint>,
}

impl Power {
    /// Returns an initializer for a hart that is started.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            stopped: Atomic::new(false),
            lock <- new_spinlock!(EntryPoint::default()),
        })
    }

    /// Returns whether the hart is stopped.
    #[inline]
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Acquire)
    }

    /// Returns where the hart was started last.
    pub(crate) fn entry_point(&self) -> EntryPoint {
        *self.lock.lock()
    }
}

/// Starts the hart of a vCPU at `entry`, unless it is started already.
pub(crate) fn start(vcpu: &Vcpu<Riscv>, entry: EntryPoint) -> Result<(), SbiError> {
    let power = &vcpu.shared().power;
    let mut place = power.lock.lock();
    if !power.is_stopped() {
        return Err(SbiError::AlreadyAvailable);
    }
    *place = entry;
    // The vCPU sees the request when it sees that it is started.
    vcpu.request(RESET);
    power.stopped.store(false, Release);
    drop(place);
    vcpu.wake_up();
    Ok(())
}

/// Forgets that the hart of a vCPU was to begin somewhere, if it has not begun yet.
pub(crate) fn forget_start(vcpu: &LockedVcpu<'_, Riscv>) {
    let _guard = vcpu.shared().power.lock.lock();
    let _ = vcpu.take_request(RESET);
}

/// Has a vCPU go on where it is.
pub(crate) fn resume(vcpu: &Vcpu<Riscv>) {
    let power = &vcpu.shared().power;
    let guard = power.lock.lock();
    power.stopped.store(false, Release);
    drop(guard);
    vcpu.wake_up();
}

/// Stops a vCPU. Returns `false` if it is stopped already.
pub(crate) fn stop(vcpu: &Vcpu<Riscv>) -> bool {
    let power = &vcpu.shared().power;
    let guard = power.lock.lock();
    let was_stopped = power.is_stopped();
    power.stopped.store(true, Release);
    vcpu.request(SLEEP);
    drop(guard);
    vcpu.kick();
    !was_stopped
}

/// Stops all vCPUs of a VM.
pub(crate) fn stop_all(vm: &Vm<Riscv>) {
    for vcpu in vm.vcpus() {
        let power = &vcpu.shared().power;
        let _guard = power.lock.lock();
        power.stopped.store(true, Release);
    }
    vm.request_all(SLEEP);
}
