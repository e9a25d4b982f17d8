// SPDX-License-Identifier: GPL-2.0

//! The guest's timer.
//!
//! With Sstc, the hart compares `time` with `vstimecmp` itself while the guest runs, and a timer of
//! the host replaces it only while the vCPU sleeps in WFI. Without Sstc, a timer of the host raises
//! the interrupt, whether the guest runs or not.

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
        Vcpu,
        VcpuTimerRestart, //
    },
    sync::atomic::{
        ordering::Relaxed,
        Atomic, //
    },
};

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

    /// Sets the guest's time to `time`, in ticks.
    pub(crate) fn set_now(&self, time: u64) {
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
    /// Without Sstc, whether the timer of the host runs.
    armed: Atomic<bool>,
}

impl GuestTimer {
    /// Returns a timer that is off.
    pub(crate) fn new() -> Self {
        Self {
            deadline: Atomic::new(NEVER),
            armed: Atomic::new(false),
        }
    }

    /// Returns when the timer expires, in the guest's time.
    pub(crate) fn deadline(&self) -> u64 {
        self.deadline.read_once()
    }

    /// Sets when the timer of a vCPU that is not loaded expires. Without Sstc, [`switch_on`] must
    /// follow.
    pub(crate) fn set_deadline(&self, deadline: u64) {
        self.deadline.write_once(deadline);
    }

    /// Returns whether the timer is on. With Sstc, there is no separate state: the timer is on
    /// unless the deadline is [`NEVER`].
    pub(crate) fn is_on(&self) -> bool {
        if features::sstc() {
            self.deadline() != NEVER
        } else {
            self.armed.load(Relaxed)
        }
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
        start(vcpu, deadline);
    }
}

/// Stops the timer of the host for a vCPU. With Sstc, the guest's timer stays on, because the
/// deadline is its whole state.
pub(crate) fn switch_off(vcpu: &LockedVcpu<'_, Riscv>) {
    vcpu.timer().cancel();
    vcpu.shared().timer.armed.store(false, Relaxed);
}

/// Switches the timer of a vCPU on, whether the vCPU is loaded or not.
pub(crate) fn switch_on(vcpu: &LockedVcpu<'_, Riscv>) {
    // With Sstc, the timer is on as soon as the vCPU is loaded with its deadline.
    if !features::sstc() {
        start(vcpu, vcpu.shared().timer.deadline());
    }
}

/// Without Sstc, lowers the interrupt, and starts the timer that raises it at `deadline`.
fn start(vcpu: &LockedVcpu<'_, Riscv>, deadline: u64) {
    let timer = &vcpu.shared().timer;
    // An expiry of the old deadline must not raise the interrupt after it has been lowered here.
    vcpu.timer().cancel();
    interrupts::set(vcpu, VsInterrupt::Timer, false);
    timer.set_deadline(deadline);
    timer.armed.store(true, Relaxed);
    vcpu.timer()
        .start(vcpu.vm().backend().time.ns_until(deadline));
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
        // User space has set the time back.
        return VcpuTimerRestart::After(left);
    }
    if features::sstc() {
        vcpu.kick();
    } else {
        timer.armed.store(false, Relaxed);
        interrupts::set(vcpu, VsInterrupt::Timer, true);
    }
    VcpuTimerRestart::No
}
