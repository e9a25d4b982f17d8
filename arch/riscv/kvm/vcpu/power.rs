// SPDX-License-Identifier: GPL-2.0

//! Starts and stops vCPUs, for the guest (SBI HSM) and for user space (`KVM_SET_MP_STATE`).

use crate::{
    abi::sbi::SbiError,
    vcpu::aia,
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

/// Wait until the hart is started.
pub(crate) const SLEEP: Request = Request::arch(0).wait_no_wakeup();
/// Reset the vCPU, and go to where the hart was started. Whoever holds the vCPU's mutex handles the
/// request before the vCPU enters the guest, and before user space accesses a register.
const RESET: Request = Request::arch(1);

/// Where a started hart begins.
#[derive(Clone, Copy, Default)]
pub(crate) struct EntryPoint {
    /// The address of the first instruction.
    pub(crate) pc: u64,
    /// The values of `a0` and `a1`.
    pub(crate) args: [u64; 2],
}

/// Whether the hart of a vCPU is started.
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
}

/// Starts the hart of a vCPU at `entry`, unless it is started already.
pub(crate) fn start(vcpu: &Vcpu<Riscv>, entry: EntryPoint) -> Result<(), SbiError> {
    let power = &vcpu.shared().power;
    let mut place = power.lock.lock();
    if !power.is_stopped() {
        return Err(SbiError::AlreadyAvailable);
    }
    *place = entry;
    // The hart begins without interrupts. Those that are raised from now on stay, even if the vCPU
    // is not reset before it runs next.
    vcpu.shared().interrupts.lower_all();
    aia::restore_external(vcpu);
    // The vCPU sees the request when it sees that it is started.
    vcpu.request(RESET);
    power.stopped.store(false, Release);
    drop(place);
    vcpu.wake_up();
    Ok(())
}

/// Returns where the hart of a vCPU begins, if it was started and the vCPU has not been reset for
/// that yet. Then the caller must reset the vCPU.
pub(super) fn take_start(vcpu: &LockedVcpu<'_, Riscv>) -> Option<EntryPoint> {
    vcpu.take_request(RESET)
        .then(|| *vcpu.shared().power.lock.lock())
}

/// Cancels the start of a hart that has not begun to run.
pub(crate) fn forget_start(vcpu: &LockedVcpu<'_, Riscv>) {
    let _guard = vcpu.shared().power.lock.lock();
    let _ = vcpu.take_request(RESET);
}

/// Lets a stopped vCPU go on at its own program counter.
pub(crate) fn resume(vcpu: &Vcpu<Riscv>) {
    let power = &vcpu.shared().power;
    let guard = power.lock.lock();
    power.stopped.store(false, Release);
    drop(guard);
    vcpu.wake_up();
}

/// Stops a vCPU. Returns `false` if it was stopped already.
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
