// SPDX-License-Identifier: GPL-2.0

//! The guest's timer.
//!
//! With Sstc, the hart compares `time` with `vstimecmp` itself while the guest runs, and a timer of
//! the host replaces it only while the vCPU sleeps in WFI. Without Sstc, a timer of the host raises
//! the interrupt, whether the guest runs or not.
//!
//! Either way, the deadline and the time are the whole state: the interrupt is pending if, and only
//! if, the time has come to the deadline. The host's timer merely notices that. So user space may
//! save and restore the registers in any order, even while that timer expires, and neither
//! `KVM_REG_RISCV_TIMER_REG(state)` nor `sip.STIP` says anything more.

use crate::{
    hart::{
        csr::{
            self,
            VsInterrupt, //
        },
        features,
        guest_csr::{
            self,
            GuestCsrAccess, //
        },
        time_base::TimeBase, //
    },
    vcpu::interrupts,
    Riscv, //
};
use kernel::{
    access_once::AccessOnce,
    kvm::{
        LoadedVcpu,
        LockedVcpu,
        Request,
        Vcpu,
        VcpuTimerRestart, //
    },
    sync::atomic::{
        ordering::Relaxed,
        Atomic, //
    },
};

/// Follow a change of the guest's time. Whoever holds the vCPU's mutex handles the request before
/// the vCPU enters the guest, and before user space accesses a register.
const TIME_CHANGED: Request = Request::arch(4).wait_no_wakeup();

/// A deadline that never comes.
pub(crate) const NEVER: u64 = u64::MAX;

/// The time that the guest of a VM sees.
pub(crate) struct GuestTime {
    /// The guest's `time` minus the host's, modulo 2^64.
    delta: Atomic<u64>,
    /// The time base.
    pub(crate) base: TimeBase,
}

impl GuestTime {
    /// Returns a time that begins now.
    pub(crate) fn new() -> Self {
        Self {
            delta: Atomic::new(csr::time().wrapping_neg()),
            base: TimeBase::of_host(),
        }
    }

    /// Returns the guest's time, in ticks.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        csr::time().wrapping_add(self.delta())
    }

    /// Sets the guest's time to `time`, in ticks. [`set_time`] tells the vCPUs.
    fn set_now(&self, time: u64) {
        self.delta.store(time.wrapping_sub(csr::time()), Relaxed);
    }

    /// Returns the value for `htimedelta`.
    #[inline]
    pub(crate) fn delta(&self) -> u64 {
        self.delta.read_once()
    }

    /// Returns the nanoseconds until `deadline`, 0 if it has passed.
    fn ns_until(&self, deadline: u64) -> u64 {
        self.base.to_ns(deadline.saturating_sub(self.now()))
    }
}

/// The timer of a vCPU.
pub(crate) struct GuestTimer {
    /// When the timer expires, in the guest's time. With Sstc, this is valid only while the vCPU is
    /// not loaded, or sleeps; otherwise, `vstimecmp` of the hart is.
    deadline: Atomic<u64>,
}

impl GuestTimer {
    /// Returns a timer that is off.
    pub(crate) fn new() -> Self {
        Self {
            deadline: Atomic::new(NEVER),
        }
    }

    /// Returns when the timer expires, in the guest's time.
    pub(crate) fn deadline(&self) -> u64 {
        self.deadline.read_once()
    }

    /// Switches off the timer of a vCPU that is not loaded, and for which [`stop`] has been called.
    pub(super) fn reset(&self) {
        self.set_deadline(NEVER);
    }

    fn set_deadline(&self, deadline: u64) {
        self.deadline.write_once(deadline);
    }

    /// Returns whether user space has to write [`TIMER_ON`](crate::abi::one_reg::TIMER_ON) where it
    /// restores the timer, for the sake of a host whose timers run only then.
    ///
    /// With Sstc it must not: the C backend would write `vstimecmp` of the hart that the ioctl runs
    /// on, although the vCPU is not loaded there. Without Sstc it must, even if the timer has
    /// expired: `sip` may have been read before that.
    pub(crate) fn is_on(&self) -> bool {
        !features::sstc() && self.deadline() != NEVER
    }

    /// Loads the timer on this hart.
    #[inline]
    pub(crate) fn load(&self, hart: &impl GuestCsrAccess, time: &GuestTime) {
        guest_csr::write::<{ csr::HTIMEDELTA }>(hart, time.delta());
        if features::sstc() {
            guest_csr::write::<{ csr::VSTIMECMP }>(hart, self.deadline());
        }
    }

    /// Takes the timer off this hart.
    ///
    /// The hart's timer is set to never expire, since its pending interrupt would end every WFI of
    /// the host on this hart. Returns whether that needed a write.
    #[inline]
    pub(crate) fn put(&self, hart: &impl GuestCsrAccess) -> bool {
        if !features::sstc() {
            return false;
        }
        let deadline = guest_csr::read::<{ csr::VSTIMECMP }>(hart);
        self.set_deadline(deadline);
        let is_on = deadline != NEVER;
        if is_on {
            guest_csr::write::<{ csr::VSTIMECMP }>(hart, NEVER);
        }
        is_on
    }

    /// Returns whether Sstc has raised the timer interrupt. Without Sstc, the answer is `false`.
    pub(crate) fn expired(&self, time: &GuestTime) -> bool {
        features::sstc() && time.ns_until(self.deadline()) == 0
    }
}

/// With Sstc, sets the timer of the vCPU that is loaded on this hart. Returns `false` without Sstc,
/// and then does nothing.
#[inline(always)]
pub(crate) fn set_loaded(hart: &impl GuestCsrAccess, deadline: u64) -> bool {
    if features::sstc() {
        // The interrupt follows the comparison from now on.
        guest_csr::write::<{ csr::VSTIMECMP }>(hart, deadline);
        true
    } else {
        false
    }
}

/// Sets the timer of a vCPU, in the guest's time.
pub(crate) fn set(vcpu: &LoadedVcpu<'_, Riscv>, deadline: u64) {
    if !set_loaded(vcpu, deadline) {
        set_unloaded(vcpu, deadline);
    }
}

/// Sets the timer of a vCPU that is not loaded, in the guest's time. Without Sstc, the vCPU may be
/// loaded.
pub(crate) fn set_unloaded(vcpu: &LockedVcpu<'_, Riscv>, deadline: u64) {
    vcpu.shared().timer.set_deadline(deadline);
    update_interrupt(vcpu);
}

/// Sets the time of the guest of `vcpu`, in ticks. When this returns, no vCPU of the VM runs by the
/// old time.
pub(crate) fn set_time(vcpu: &LockedVcpu<'_, Riscv>, time: u64) {
    let vm = vcpu.vm();
    vm.backend().time.set_now(time);
    vm.request_all(TIME_CHANGED);
    // The host's timer of a vCPU that sleeps was started by the old time. Only the vCPU's own
    // thread may start it again. To the guest, WFI ends for no reason, as it may.
    for other in vm.vcpus() {
        other.request(Request::UNBLOCK);
        other.wake_up();
    }
}

/// Makes a vCPU that is not loaded follow a change of the guest's time, if there has been one.
pub(crate) fn follow_time(vcpu: &LockedVcpu<'_, Riscv>) {
    if vcpu.take_request(TIME_CHANGED) {
        update_interrupt(vcpu);
    }
}

/// Does the same as [`follow_time`] for a vCPU that is loaded.
pub(crate) fn follow_time_loaded(vcpu: &LoadedVcpu<'_, Riscv>) {
    // The request to leave WFI is made last. So if it is not seen here, it is seen when the vCPU
    // sleeps next.
    let _ = vcpu.take_request(Request::UNBLOCK);
    if vcpu.take_request(TIME_CHANGED) {
        // If another hart loads the vCPU now, that writes the same, or there is a new request.
        guest_csr::write::<{ csr::HTIMEDELTA }>(vcpu, vcpu.vm().backend().time.delta());
        update_interrupt(vcpu);
    }
}

/// Stops the timer of the host for a vCPU that is about to be reset.
pub(crate) fn stop(vcpu: &LockedVcpu<'_, Riscv>) {
    // With Sstc, the timer runs only while the vCPU sleeps, and raises nothing.
    if !features::sstc() {
        vcpu.timer().cancel();
        interrupts::set(vcpu, VsInterrupt::Timer, false);
    }
}

/// Without Sstc, raises or lowers the timer interrupt of a vCPU as the deadline and the time say,
/// and starts the host's timer if the deadline is to come. With Sstc, the hart does all that.
pub(crate) fn update_interrupt(vcpu: &LockedVcpu<'_, Riscv>) {
    if features::sstc() {
        return;
    }
    // An expiry of an old deadline must not raise the interrupt after it has been lowered here.
    vcpu.timer().cancel();
    let deadline = vcpu.shared().timer.deadline();
    let left = vcpu.vm().backend().time.ns_until(deadline);
    interrupts::set(vcpu, VsInterrupt::Timer, left == 0);
    if left > 0 && deadline != NEVER {
        vcpu.timer().start(left);
    }
}

/// Runs `f`, which sleeps, and wakes the vCPU when the guest's timer expires.
pub(crate) fn while_asleep(vcpu: &LoadedVcpu<'_, Riscv>, f: impl FnOnce()) {
    let timer = &vcpu.shared().timer;
    if !features::sstc() {
        // The host's timer runs already.
        return f();
    }
    let deadline = guest_csr::read::<{ csr::VSTIMECMP }>(vcpu);
    timer.set_deadline(deadline);
    if deadline == NEVER {
        return f();
    }
    vcpu.timer()
        .start(vcpu.vm().backend().time.ns_until(deadline));
    f();
    vcpu.timer().cancel();
}

/// Handles the expiry of the host's timer.
pub(crate) fn host_timer_expired(vcpu: &Vcpu<Riscv>) -> VcpuTimerRestart {
    let timer = &vcpu.shared().timer;
    let left = vcpu.vm().backend().time.ns_until(timer.deadline());
    if left > 0 {
        // The host's clock is ahead of the guest's time, or user space has set the time back.
        return VcpuTimerRestart::After(left);
    }
    if features::sstc() {
        vcpu.kick();
    } else {
        interrupts::set(vcpu, VsInterrupt::Timer, true);
    }
    VcpuTimerRestart::No
}
