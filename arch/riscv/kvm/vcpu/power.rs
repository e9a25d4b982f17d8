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

    /// Notes that the hart, which is that of `vcpu`, is not stopped any more. The caller holds the
    /// lock.
    fn go_on(&self, vcpu: &Vcpu<Riscv>) {
        self.stopped.store(false, Release);
        // In this order: see `suspend_system()`.
        vcpu.vm().backend().starts.fetch_add(1, Release);
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
    power.go_on(vcpu);
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

/// Suspends the system, of which the hart of `vcpu` has to be the only one that is started. When
/// the vCPU runs next, the hart begins at `entry`.
///
/// # Errors
///
/// [`SbiError::Denied`] if another hart is started, or has been meanwhile.
pub(crate) fn suspend_system(
    vcpu: &LockedVcpu<'_, Riscv>,
    entry: EntryPoint,
) -> Result<(), SbiError> {
    let starts = &vcpu.vm().backend().starts;
    // Acquire: whoever sees that a hart has stopped sees the starts before that. So a hart that
    // starts another one, and then stops, does not go unnoticed whenever the two are looked at.
    let before = starts.load(Acquire);
    let mut others = vcpu
        .vm()
        .vcpus()
        .filter(|other| other.index() != vcpu.index());
    let all_stopped = others.all(|other| other.shared().power.is_stopped());
    if !all_stopped || starts.load(Acquire) != before {
        return Err(SbiError::Denied);
    }
    let mut place = vcpu.shared().power.lock.lock();
    *place = entry;
    vcpu.request(RESET);
    Ok(())
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
    power.go_on(vcpu);
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
