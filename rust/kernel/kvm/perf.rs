// SPDX-License-Identifier: GPL-2.0

//! Counters of a vCPU, which count events of the hardware.
//!
//! The perf subsystem shares the counters of the hardware among all who want one. So a counter of a
//! vCPU is a perf event of the thread that runs the vCPU. The event counts in the guest alone.

use super::{
    backend::{
        Backend,
        VcpuOps, //
    },
    vcpu::NewVcpu, //
};
use crate::{
    bindings,
    prelude::*, //
};
use core::cell::RefCell;

#[cfg(CONFIG_PERF_EVENTS)]
mod event;
#[cfg(not(CONFIG_PERF_EVENTS))]
#[path = "perf/no_event.rs"]
mod event;

use self::event::PerfEvent;

/// What a counter counts, as `struct perf_event_attr` has it.
#[derive(Clone, Copy, Debug)]
pub struct PerfEventAttr {
    /// `type`: `PERF_TYPE_*`.
    pub kind: u32,
    /// `config`, which depends on the type.
    pub config: u64,
    /// `config1`, which depends on the PMU.
    pub config1: u64,
    /// Nothing is counted in the user mode of the guest.
    pub exclude_user: bool,
    /// Nothing is counted in the kernel of the guest.
    pub exclude_kernel: bool,
}

/// The counters of a vCPU, each with an index that the backend chooses.
///
/// Each vCPU has an object of this type ([`LockedVcpu::perf_counters`]), which only the holder of
/// the vCPU's mutex can use. It is dropped ahead of the vCPU's state, so
/// [`VcpuOps::counter_overflowed`] is never called for a vCPU without one.
///
/// [`LockedVcpu::perf_counters`]: super::LockedVcpu::perf_counters
///
/// # Invariants
///
/// `vcpu` is the vCPU in the state of which this lives.
pub struct PerfCounters<B: Backend> {
    vcpu: *mut bindings::kvm_vcpu,
    counters: RefCell<KVec<PerfCounter<B>>>,
}

impl<B: Backend> PerfCounters<B> {
    /// Returns the counters of `vcpu`, as a part of the state of that vCPU. There are none yet.
    pub(super) fn new(vcpu: &NewVcpu<'_, B>) -> Self {
        // INVARIANT: The caller makes this a part of the state of the vCPU.
        Self {
            vcpu: vcpu.as_raw(),
            counters: RefCell::new(KVec::new()),
        }
    }
}

impl<B: VcpuOps> PerfCounters<B> {
    /// Sets what a counter counts: events of the current thread, from `value` on. The counter is
    /// stopped. It has `bits` bits, at least 1 and at most 64. May sleep.
    ///
    /// # Errors
    ///
    /// What [`perf_event_create_kernel_counter`] returns, or [`ENOMEM`]. Then the counter is as it
    /// was.
    ///
    /// [`perf_event_create_kernel_counter`]: srctree/include/linux/perf_event.h
    pub fn configure(&self, index: u32, attr: PerfEventAttr, bits: u32, value: u64) -> Result {
        let turn = Turn::new(bits);
        // SAFETY: By the invariants, the vCPU outlives its counters.
        let event = unsafe { PerfEvent::new(self.vcpu, index, &attr, turn) }?;
        let counter = PerfCounter {
            index,
            attr,
            turn,
            value: turn.cut(value),
            started_at: None,
            event: Some(event),
        };
        let mut counters = self.counters.borrow_mut();
        match counters.iter_mut().find(|old| old.index == index) {
            Some(old) => *old = counter,
            None => counters.push(counter, GFP_KERNEL_ACCOUNT)?,
        }
        Ok(())
    }

    /// Removes a counter. May sleep.
    pub fn remove(&self, index: u32) {
        self.counters
            .borrow_mut()
            .retain(|counter| counter.index != index);
    }

    /// Removes all counters. May sleep.
    pub fn remove_all(&self) {
        *self.counters.borrow_mut() = KVec::new();
    }

    /// Returns whether there is a counter with this index.
    pub fn contains(&self, index: u32) -> bool {
        self.with(index, |_| ()).is_some()
    }

    /// Returns the value of a counter, if there is one with this index. The vCPU's thread must be
    /// the current one: to another, the counter seems to stand still.
    pub fn value(&self, index: u32) -> Option<u64> {
        self.with(index, |counter| counter.value())
    }

    /// Starts a counter, from `value` on if there is one, and else from its current value. Returns
    /// `false`, having done nothing, if it runs, or if there is no counter with this index. The
    /// vCPU's thread must be the current one. May sleep.
    pub fn start(&self, index: u32, value: Option<u64>) -> bool {
        self.with(index, |counter| counter.start(value))
            .unwrap_or(false)
    }

    /// Stops a counter, and calls [`VcpuOps::counter_overflowed`] if it has overflowed and that is
    /// not known yet. Returns `false`, having done nothing, if it does not run, or if there is no
    /// counter with this index. The vCPU's thread must be the current one.
    pub fn stop(&self, index: u32) -> bool {
        self.with(index, PerfCounter::stop).unwrap_or(false)
    }

    /// Makes the counters count in the current thread from now on, because it is the one that runs
    /// the vCPU. May sleep.
    ///
    /// A counter for which that cannot be done keeps its value until it is configured again.
    #[inline]
    pub fn follow_thread(&self) {
        let mut counters = self.counters.borrow_mut();
        for counter in counters.iter_mut().filter(|counter| counter.is_left()) {
            // SAFETY: By the invariants, the vCPU outlives its counters.
            unsafe { counter.recreate(self.vcpu) };
        }
    }

    fn with<R>(&self, index: u32, f: impl FnOnce(&mut PerfCounter<B>) -> R) -> Option<R> {
        let mut counters = self.counters.borrow_mut();
        let counter = counters.iter_mut().find(|counter| counter.index == index)?;
        Some(f(counter))
    }
}

/// How far a counter counts until it overflows and is 0 again.
#[derive(Clone, Copy)]
struct Turn {
    mask: u64,
}

impl Turn {
    fn new(bits: u32) -> Self {
        Self {
            mask: u64::MAX >> (u64::BITS - bits.clamp(1, u64::BITS)),
        }
    }

    /// Returns the value that a counter has which has counted this far.
    fn cut(self, value: u64) -> u64 {
        value & self.mask
    }

    /// Returns how many events there are until a counter with this value overflows, as a period of
    /// a perf event: from 1 to [`MAX_PERIOD`]. A larger number is cut, which makes no difference:
    /// the hardware would take years to get there.
    fn period(self, value: u64) -> u64 {
        let last = self.mask - self.cut(value);
        last.min(MAX_PERIOD - 1) + 1
    }
}

/// The largest period. Perf takes twice as much. QEMU 10, when a period ends later by its clock
/// than can be told in 63 bits, loses the end of the next one.
const MAX_PERIOD: u64 = 1 << 62;

/// The hardware does not count this many events until it is replaced.
const NEVER: u64 = 1 << 60;

/// A counter of a vCPU.
///
/// Its event goes on while the counter is stopped, because perf takes thousands of instructions to
/// stop an event and to start it again. What it counts then is left out of the value.
struct PerfCounter<B: Backend> {
    index: u32,
    attr: PerfEventAttr,
    turn: Turn,
    /// The value when the counter was started or stopped last.
    value: u64,
    /// How far the event had counted when the counter was started, if it runs.
    started_at: Option<u64>,
    /// What counts, unless it could not be had for the thread.
    event: Option<PerfEvent<B>>,
}

impl<B: VcpuOps> PerfCounter<B> {
    /// Returns how many events there were since the counter was started, 0 if it does not run.
    fn counted(&self) -> u64 {
        match (self.started_at, &self.event) {
            (Some(started_at), Some(event)) => event.count().wrapping_sub(started_at),
            _ => 0,
        }
    }

    fn value(&self) -> u64 {
        self.turn.cut(self.value.wrapping_add(self.counted()))
    }

    fn start(&mut self, value: Option<u64>) -> bool {
        if self.started_at.is_some() {
            return false;
        }
        self.value = self.turn.cut(value.unwrap_or(self.value));
        self.run();
        true
    }

    /// Lets the event count from the value on.
    fn run(&mut self) {
        let period = self.turn.period(self.value);
        let count = self.event.as_ref().map(|event| event.arm(period));
        self.started_at = Some(count.unwrap_or(0));
    }

    fn stop(&mut self) -> bool {
        if self.started_at.is_none() {
            return false;
        }
        self.stop_after(self.counted());
        true
    }

    /// Stops the counter after this many events since it was started.
    fn stop_after(&mut self, counted: u64) {
        if let Some(event) = &self.event {
            // The interrupt may come too late.
            if event.disarm() && counted >= self.turn.period(self.value) {
                event.report();
            }
        }
        self.value = self.turn.cut(self.value.wrapping_add(counted));
        self.started_at = None;
    }

    /// Returns whether the event counts in another thread than the current one.
    #[inline]
    fn is_left(&self) -> bool {
        self.event
            .as_ref()
            .is_some_and(|event| !event.is_of_current_thread())
    }

    /// Makes a new event, of the current thread.
    ///
    /// # Safety
    ///
    /// As for [`PerfEvent::new`].
    unsafe fn recreate(&mut self, vcpu: *mut bindings::kvm_vcpu) {
        let started_at = self.started_at;
        if let (Some(started_at), Some(event)) = (started_at, &self.event) {
            self.stop_after(event.end().wrapping_sub(started_at));
        }
        // SAFETY: By the requirement.
        let event = unsafe { PerfEvent::new(vcpu, self.index, &self.attr, self.turn) };
        self.event = event.ok();
        if started_at.is_some() {
            self.run();
        }
    }
}
