// SPDX-License-Identifier: GPL-2.0

//! A timer of a vCPU.

use super::{
    backend::{
        Backend,
        VcpuOps, //
    },
    hrtimer_restart,
    vcpu::{
        NewVcpu,
        Vcpu, //
    },
};
use crate::{
    bindings,
    prelude::*,
    types::Opaque, //
};

/// What becomes of a timer that has expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VcpuTimerRestart {
    /// It stops.
    No,
    /// It expires again after this number of nanoseconds.
    After(u64),
}

/// A one-shot timer of high resolution that calls [`VcpuOps::timer_expired`] for its vCPU.
///
/// Each vCPU has one ([`LockedVcpu::timer`](super::LockedVcpu::timer)), which only the holder of
/// the vCPU's mutex can start. So it is never started before the vCPU's state is complete, nor by
/// two threads at a time. It is stopped when the state is dropped.
///
/// # Invariants
///
/// `hrtimer` has been set up. The timer is the one of `vcpu`, in the state of which it lives.
#[pin_data(PinnedDrop)]
pub struct VcpuTimer<B: Backend> {
    #[pin]
    hrtimer: Opaque<bindings::hrtimer>,
    vcpu: *mut bindings::kvm_vcpu,
    _backend: core::marker::PhantomData<fn() -> B>,
}

// SAFETY: The C side synchronizes all that is done to a timer.
unsafe impl<B: Backend> Send for VcpuTimer<B> {}
// SAFETY: As above.
unsafe impl<B: Backend> Sync for VcpuTimer<B> {}

impl<B: VcpuOps> VcpuTimer<B> {
    /// Returns an initializer for the timer of `vcpu`, as a part of the state of that vCPU.
    pub(super) fn new(vcpu: &NewVcpu<'_, B>) -> impl PinInit<Self> + use<B> {
        let vcpu = vcpu.as_raw();
        // INVARIANT: The timer is set up, and the caller makes it a part of the state of the vCPU.
        pin_init!(Self {
            hrtimer <- Opaque::ffi_init(|slot: *mut bindings::hrtimer| {
                // SAFETY: `slot` is valid for writes and pinned.
                unsafe {
                    bindings::hrtimer_setup(
                        slot,
                        Some(Self::expired),
                        bindings::CLOCK_MONOTONIC as c_int,
                        bindings::hrtimer_mode_HRTIMER_MODE_REL,
                    )
                };
            }),
            vcpu,
            _backend: core::marker::PhantomData,
        })
    }

    /// Starts the timer, or restarts it, to expire after `ns` nanoseconds.
    ///
    /// Waits until a call that is in progress has returned: that may start the timer again, and
    /// must not find that it runs already.
    #[inline]
    pub fn start(&self, ns: u64) {
        self.cancel();
        let ns = i64::try_from(ns).unwrap_or(i64::MAX);
        // SAFETY: By the invariants, the timer has been set up.
        unsafe {
            bindings::hrtimer_start_range_ns(
                self.hrtimer.get(),
                ns,
                0,
                bindings::hrtimer_mode_HRTIMER_MODE_REL,
            )
        };
    }

    /// # Safety
    ///
    /// `hrtimer` must be that of a `VcpuTimer<B>` whose vCPU is alive.
    unsafe extern "C" fn expired(hrtimer: *mut bindings::hrtimer) -> bindings::hrtimer_restart {
        // SAFETY: By the requirement.
        let this = unsafe { &*crate::container_of!(Opaque::cast_from(hrtimer), Self, hrtimer) };
        // SAFETY: By the invariants. The timer has been started by a reference to the vCPU, and is
        // stopped before the state of the vCPU goes.
        let vcpu = unsafe { Vcpu::<B>::from_raw(this.vcpu) };
        match B::timer_expired(vcpu) {
            VcpuTimerRestart::No => hrtimer_restart::NO_RESTART,
            VcpuTimerRestart::After(ns) => {
                let ns = i64::try_from(ns).unwrap_or(i64::MAX);
                // SAFETY: This is the callback of the timer, and the timer does not run: who could
                // start it waits for the callback.
                unsafe { bindings::hrtimer_forward(hrtimer, bindings::ktime_get(), ns.max(1)) };
                hrtimer_restart::RESTART
            }
        }
    }
}

impl<B: Backend> VcpuTimer<B> {
    /// Stops the timer, and waits until a call that is in progress has returned.
    #[inline]
    pub fn cancel(&self) {
        // SAFETY: By the invariants, the timer has been set up.
        unsafe { bindings::hrtimer_cancel(self.hrtimer.get()) };
    }
}

#[pinned_drop]
impl<B: Backend> PinnedDrop for VcpuTimer<B> {
    fn drop(self: Pin<&mut Self>) {
        self.cancel();
    }
}
