// SPDX-License-Identifier: GPL-2.0

//! The counters that a guest has through its SBI.
//!
//! Those of the hardware are perf events of the vCPU's thread. Those of the firmware count what
//! this backend does for the guest: any thread may count there, and only the holder of the vCPU's
//! mutex does all else.

use crate::{
    abi::{
        pmu::{
            ConfigFlags,
            Counter,
            Counters,
            Event,
            Snapshot,
            FIRMWARE, //
        },
        sbi::{
            FirmwareEvent,
            SbiError, //
        },
    },
    hart::{
        csr::VsInterrupt,
        features,
        pmu, //
    },
    vcpu::interrupts,
    Riscv, //
};
use core::cell::Cell;
use kernel::{
    access_once::AccessOnce,
    kvm::{
        LockedVcpu,
        Vcpu, //
    },
    once_box::OnceBox,
    prelude::*,
    sync::atomic::{
        ordering::Relaxed,
        Atomic, //
    },
};

/// The part of a vCPU's PMU that any thread may use.
pub(crate) struct SharedPmu {
    /// The events that counters of the firmware count now: bit N stands for event N.
    active: Atomic<u32>,
    /// The counters of the firmware, once the guest has configured one.
    firmware: OnceBox<FirmwareCounters>,
    /// The counters of the hardware that have overflowed since they were started: bit N stands for
    /// index N.
    overflowed: Atomic<u32>,
}

/// The counters of the firmware.
struct FirmwareCounters {
    values: [Atomic<u64>; FIRMWARE as usize],
    /// For each event, the counters that count it now: bit N stands for counter N.
    counting: [Atomic<u32>; FIRMWARE as usize],
}

impl SharedPmu {
    pub(super) const fn new() -> Self {
        Self {
            active: Atomic::new(0),
            firmware: OnceBox::new(),
            overflowed: Atomic::new(0),
        }
    }

    /// Returns whether any event of the firmware is counted.
    #[inline(always)]
    pub(crate) fn counts_firmware(&self) -> bool {
        self.active.read_once() != 0
    }

    /// Counts an event of the firmware, if the guest wants that.
    #[inline(always)]
    pub(crate) fn count(&self, event: FirmwareEvent) {
        if self.active.read_once() & 1 << event.raw() != 0 {
            self.count_active(event);
        }
    }

    #[cold]
    fn count_active(&self, event: FirmwareEvent) {
        let Some(firmware) = self.firmware.get() else {
            return;
        };
        let counting = firmware.counting_of(event).map_or(0, |c| c.load(Relaxed));
        for (n, value) in firmware.values.iter().enumerate() {
            if counting >> n & 1 != 0 {
                value.fetch_add(1, Relaxed);
            }
        }
    }

    /// Stops all counters.
    fn reset(&self) {
        self.active.store(0, Relaxed);
        self.overflowed.store(0, Relaxed);
        if let Some(firmware) = self.firmware.get() {
            firmware.counting.iter().for_each(|c| c.store(0, Relaxed));
            firmware.values.iter().for_each(|v| v.store(0, Relaxed));
        }
    }
}

impl FirmwareCounters {
    fn counting_of(&self, event: FirmwareEvent) -> Option<&Atomic<u32>> {
        self.counting.get(event.raw() as usize)
    }
}

/// The part of a vCPU's PMU that only the holder of its mutex may use.
pub(crate) struct LocalPmu {
    /// The counters that there are, if the guest has a PMU.
    counters: Option<Counters>,
    /// What each counter of the firmware counts.
    events: [Cell<Option<FirmwareEvent>>; FIRMWARE as usize],
    /// Where values are exchanged with the guest.
    snapshot: Cell<Option<Snapshot>>,
}

impl LocalPmu {
    pub(super) fn new() -> Self {
        Self {
            counters: pmu::counters(),
            events: [const { Cell::new(None) }; FIRMWARE as usize],
            snapshot: Cell::new(None),
        }
    }

    /// Returns the counters that there are, if the host has what a PMU of a guest needs.
    pub(crate) fn counters(&self) -> Option<Counters> {
        self.counters
    }

    /// Returns where values are exchanged with the guest, if it has set that.
    pub(crate) fn snapshot(&self) -> Option<Snapshot> {
        self.snapshot.get()
    }

    /// Sets where values are exchanged with the guest.
    pub(crate) fn set_snapshot(&self, snapshot: Option<Snapshot>) {
        self.snapshot.set(snapshot);
    }

    fn event(&self, firmware: u32) -> Option<FirmwareEvent> {
        self.events.get(firmware as usize)?.get()
    }

    fn set_event(&self, firmware: u32, event: Option<FirmwareEvent>) {
        if let Some(place) = self.events.get(firmware as usize) {
            place.set(event);
        }
    }
}

/// Sets the PMU to its state after a reset: no counter counts. May sleep.
pub(super) fn reset(vcpu: &LockedVcpu<'_, Riscv>) {
    let local = &vcpu.local().pmu;
    vcpu.perf_counters().remove_all();
    vcpu.shared().pmu.reset();
    local.events.iter().for_each(|event| event.set(None));
    local.snapshot.set(None);
}

/// Returns whether a counter has an event to count.
pub(crate) fn is_configured(vcpu: &LockedVcpu<'_, Riscv>, counter: Counter) -> bool {
    match counter {
        Counter::Hardware(index) => vcpu.perf_counters().contains(index),
        Counter::Firmware(index) => vcpu.local().pmu.event(index).is_some(),
    }
}

/// Makes a counter count an event, which it can, instead of what it counts now. May sleep.
///
/// # Errors
///
/// [`SbiError::NotSupported`] if the host cannot count the event, [`SbiError::Failed`] if there is
/// no memory.
pub(crate) fn configure(
    vcpu: &LockedVcpu<'_, Riscv>,
    counter: Counter,
    event: Event,
    flags: ConfigFlags,
) -> Result<(), SbiError> {
    let old = value(vcpu, counter).filter(|_| !flags.clears_value());
    let value = old.unwrap_or(0);
    match (counter, event) {
        (Counter::Firmware(index), Event::Firmware(event)) => {
            configure_firmware(vcpu, index, event, value)?;
        }
        (Counter::Hardware(index), _) => {
            let bits = vcpu.local().pmu.counters.map(|c| c.bits(counter));
            let wanted = bits.zip(pmu::attr(event, flags));
            let (bits, attr) = wanted.ok_or(SbiError::NotSupported)?;
            let configured = vcpu.perf_counters().configure(index, attr, bits, value);
            configured.map_err(|e| match e {
                ENOMEM => SbiError::Failed,
                _ => SbiError::NotSupported,
            })?;
            forget_overflow(vcpu, index);
        }
        (Counter::Firmware(_), _) => return Err(SbiError::NotSupported),
    }
    if flags.starts() {
        start(vcpu, counter, None);
    }
    Ok(())
}

fn configure_firmware(
    vcpu: &LockedVcpu<'_, Riscv>,
    index: u32,
    event: FirmwareEvent,
    value: u64,
) -> Result<(), SbiError> {
    let place = &vcpu.shared().pmu.firmware;
    if place.get().is_none() {
        let new = FirmwareCounters {
            values: [const { Atomic::new(0) }; FIRMWARE as usize],
            counting: [const { Atomic::new(0) }; FIRMWARE as usize],
        };
        let new = KBox::pin(new, GFP_KERNEL_ACCOUNT).map_err(|_| SbiError::Failed)?;
        // Nobody else sets it.
        place.set(new);
    }
    stop_firmware(vcpu, index);
    vcpu.local().pmu.set_event(index, Some(event));
    if let Some(place) = firmware_value(vcpu, index) {
        place.store(value, Relaxed);
    }
    Ok(())
}

/// Makes a counter that is configured count nothing any more. May sleep.
pub(crate) fn remove(vcpu: &LockedVcpu<'_, Riscv>, counter: Counter) {
    match counter {
        Counter::Hardware(index) => {
            vcpu.perf_counters().remove(index);
            forget_overflow(vcpu, index);
        }
        Counter::Firmware(index) => {
            stop_firmware(vcpu, index);
            vcpu.local().pmu.set_event(index, None);
        }
    }
}

/// Starts a counter that is configured, from `value` on if there is one. Returns `false` if it
/// runs. May sleep.
pub(crate) fn start(vcpu: &LockedVcpu<'_, Riscv>, counter: Counter, value: Option<u64>) -> bool {
    match counter {
        Counter::Hardware(index) => {
            forget_overflow(vcpu, index);
            vcpu.perf_counters().start(index, value)
        }
        Counter::Firmware(index) => start_firmware(vcpu, index, value).unwrap_or(false),
    }
}

/// Stops a counter that is configured. Returns `false` if it does not run. May sleep.
pub(crate) fn stop(vcpu: &LockedVcpu<'_, Riscv>, counter: Counter) -> bool {
    match counter {
        Counter::Hardware(index) => vcpu.perf_counters().stop(index),
        Counter::Firmware(index) => stop_firmware(vcpu, index),
    }
}

/// Returns the value of a counter, if it is configured.
pub(crate) fn value(vcpu: &LockedVcpu<'_, Riscv>, counter: Counter) -> Option<u64> {
    match counter {
        Counter::Hardware(index) => vcpu.perf_counters().value(index),
        Counter::Firmware(index) => {
            vcpu.local().pmu.event(index)?;
            firmware_value(vcpu, index).map(|value| value.load(Relaxed))
        }
    }
}

/// Returns whether a counter has overflowed since it was started. One of the firmware never does.
pub(crate) fn has_overflowed(vcpu: &Vcpu<Riscv>, counter: Counter) -> bool {
    match counter {
        Counter::Hardware(index) => vcpu.shared().pmu.overflowed.load(Relaxed) >> index & 1 != 0,
        Counter::Firmware(_) => false,
    }
}

fn forget_overflow(vcpu: &Vcpu<Riscv>, index: u32) {
    let overflowed = &vcpu.shared().pmu.overflowed;
    update(overflowed, |bits| bits & !1_u32.wrapping_shl(index));
}

/// Changes `value` to what `f` returns for it.
fn update(value: &Atomic<u32>, f: impl Fn(u32) -> u32) {
    let mut old = value.load(Relaxed);
    while let Err(now) = value.cmpxchg(old, f(old), Relaxed) {
        old = now;
    }
}

/// Notes that a counter of the hardware has overflowed, and interrupts the guest if a hart can do
/// that. Called in interrupt context.
pub(crate) fn counter_overflowed(vcpu: &Vcpu<Riscv>, index: u32) {
    let overflowed = &vcpu.shared().pmu.overflowed;
    update(overflowed, |bits| bits | 1_u32.wrapping_shl(index));
    if features::overflow_interrupt() {
        interrupts::set(vcpu, VsInterrupt::CounterOverflow, true);
    }
}

fn firmware_value<'a>(vcpu: &'a Vcpu<Riscv>, index: u32) -> Option<&'a Atomic<u64>> {
    let firmware = vcpu.shared().pmu.firmware.get()?;
    firmware.values.get(index as usize)
}

fn start_firmware(vcpu: &LockedVcpu<'_, Riscv>, index: u32, value: Option<u64>) -> Option<bool> {
    let pmu = &vcpu.shared().pmu;
    let event = vcpu.local().pmu.event(index)?;
    let counting = pmu.firmware.get()?.counting_of(event)?;
    let old = counting.load(Relaxed);
    if old >> index & 1 != 0 {
        return Some(false);
    }
    if let Some(value) = value {
        firmware_value(vcpu, index)?.store(value, Relaxed);
    }
    vcpu.vm().backend().counts_firmware.store(true, Relaxed);
    counting.store(old | 1 << index, Relaxed);
    let active = pmu.active.load(Relaxed);
    pmu.active.store(active | 1 << event.raw(), Relaxed);
    Some(true)
}

/// Returns `false` if the counter does not run.
fn stop_firmware(vcpu: &LockedVcpu<'_, Riscv>, index: u32) -> bool {
    let pmu = &vcpu.shared().pmu;
    let Some(event) = vcpu.local().pmu.event(index) else {
        return false;
    };
    let counting = pmu.firmware.get().and_then(|f| f.counting_of(event));
    let Some(counting) = counting else {
        return false;
    };
    let old = counting.load(Relaxed);
    let now = old & !(1 << index);
    if now == old {
        return false;
    }
    counting.store(now, Relaxed);
    if now == 0 {
        let active = pmu.active.load(Relaxed);
        pmu.active.store(active & !(1 << event.raw()), Relaxed);
    }
    true
}
