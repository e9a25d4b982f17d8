// SPDX-License-Identifier: GPL-2.0

//! Performance monitoring unit extension (SBI specification, chapter 11).

use super::call::{
    Answer,
    Call,
    Serve, //
};
use crate::{
    abi::{
        pmu::{
            ConfigFlags,
            Counter,
            CounterSet,
            Counters,
            Event,
            EventInfo,
            Snapshot,
            StartValue,
            StopFlags, //
        },
        sbi::{
            PmuFn,
            SbiError,
            SHMEM_DISABLE, //
        },
    },
    hart,
    vcpu::pmu, //
};
use kernel::{
    kvm::Gpa,
    prelude::*, //
};

/// The largest number of entries that a call for information about events may have. The call
/// returns when all are done, so a guest could keep the kernel busy. Linux has 52.
const INFO_MAX: u64 = 4096;

/// A value for each bit of a set.
type Values = [u64; u64::BITS as usize];

pub(super) struct Pmu;

impl Serve for Pmu {
    fn handle(call: &Call<'_>) -> Answer {
        Answer::Return(serve(call))
    }
}

fn serve(call: &Call<'_>) -> Result<u64, SbiError> {
    let counters = call.vcpu.local().pmu.counters();
    let counters = counters.ok_or(SbiError::NotSupported)?;
    match PmuFn::from_raw(call.fid).ok_or(SbiError::NotSupported)? {
        PmuFn::NumCounters => Ok(counters.count().into()),
        PmuFn::CounterGetInfo => {
            let counter = counters.get(call.arg(0)).ok_or(SbiError::InvalidParam)?;
            Ok(counters.info(counter))
        }
        PmuFn::CounterConfigMatching => configure(call, counters),
        PmuFn::CounterStart => start(call, counters),
        PmuFn::CounterStop => stop(call, counters),
        PmuFn::CounterFwRead => read_firmware(call, counters),
        // On RV64, the upper half is a part of the value.
        PmuFn::CounterFwReadHi => read_firmware(call, counters).map(|_| 0),
        PmuFn::SnapshotSetShmem => set_snapshot(call),
        PmuFn::EventGetInfo => event_info(call),
    }
}

/// Returns the set of counters that the first two arguments name.
fn set(call: &Call<'_>, counters: Counters) -> Result<CounterSet, SbiError> {
    counters.set(call.arg(0), call.arg(1))
}

fn configure(call: &Call<'_>, counters: Counters) -> Result<u64, SbiError> {
    let set = set(call, counters)?;
    let flags = ConfigFlags::new(call.arg(2)).ok_or(SbiError::InvalidParam)?;
    let event = Event::new(call.arg(3), call.arg(4)).ok_or(SbiError::NotSupported)?;
    let counter = if flags.skips_match() {
        set.first_for(event)
    } else {
        set.choose(event, |counter| !pmu::is_configured(call.vcpu, counter))
    };
    let counter = counter.ok_or(SbiError::NotSupported)?;
    pmu::configure(call.vcpu, counter, event, flags)?;
    Ok(counters.index(counter).into())
}

/// Returns those counters of a set that count something, each with its distance from the base.
fn configured<'a>(
    call: &'a Call<'_>,
    set: CounterSet,
) -> impl Iterator<Item = (u32, Counter)> + use<'a> {
    set.iter()
        .filter(|(_, counter)| pmu::is_configured(call.vcpu, *counter))
}

/// What Linux 6.10 to 7.3 have for a base where they mean 0, when they start counters again that
/// have overflowed: the number of bits, squared. Without an answer to that, a profile in the guest
/// ends with its first sample.
const BASE_OF_LINUX: u64 = 64 * 64;

fn start(call: &Call<'_>, counters: Counters) -> Result<u64, SbiError> {
    let from = StartValue::from_flags(call.arg(2)).ok_or(SbiError::InvalidParam)?;
    let set = match (from, call.arg(0)) {
        (StartValue::Snapshot, BASE_OF_LINUX) => counters.set(0, call.arg(1)),
        _ => set(call, counters),
    }?;
    let values = match from {
        StartValue::Snapshot => Some(read_values(call)?),
        _ => None,
    };
    let mut result = Ok(0);
    for (distance, counter) in configured(call, set) {
        let value = match from {
            StartValue::Current => None,
            StartValue::Argument => Some(call.arg(3)),
            StartValue::Snapshot => values.and_then(|v| v.get(distance as usize).copied()),
        };
        if !pmu::start(call.vcpu, counter, value) {
            result = Err(SbiError::AlreadyStarted);
        }
    }
    result
}

fn stop(call: &Call<'_>, counters: Counters) -> Result<u64, SbiError> {
    let set = set(call, counters)?;
    let flags = StopFlags::new(call.arg(2)).ok_or(SbiError::InvalidParam)?;
    let snapshot = if flags.saves {
        Some(snapshot(call)?)
    } else {
        None
    };
    let mut result = Ok(0);
    let (mut values, mut stopped, mut overflowed): (Values, u64, u64) = ([0; 64], 0, 0);
    // All stop before the guest's memory is written, which takes longer.
    for (distance, counter) in configured(call, set) {
        if !pmu::stop(call.vcpu, counter) {
            result = Err(SbiError::AlreadyStopped);
        } else if let Some(place) = values.get_mut(distance as usize) {
            *place = pmu::value(call.vcpu, counter).unwrap_or(0);
            stopped |= 1 << distance;
            overflowed |= u64::from(pmu::has_overflowed(call.vcpu, counter)) << distance;
        }
        if flags.resets {
            pmu::remove(call.vcpu, counter);
        }
    }
    match snapshot {
        Some(snapshot) if stopped != 0 => {
            save(call, snapshot, &values, stopped, overflowed).map_err(|_| SbiError::Failed)?;
        }
        _ => (),
    }
    result
}

/// Writes the values of the counters that have been stopped to the snapshot, and whether they had
/// overflowed. What stands there of others stays.
fn save(
    call: &Call<'_>,
    snapshot: Snapshot,
    values: &Values,
    stopped: u64,
    overflowed: u64,
) -> Result {
    let srcu = call.vcpu.srcu_read_lock();
    let mut bits = [0; 8];
    srcu.read_guest(Gpa(snapshot.address()), &mut bits)?;
    let bits = u64::from_le_bytes(bits) & !stopped | overflowed;
    for (distance, value) in (0..).zip(values) {
        if stopped >> distance & 1 != 0 {
            srcu.write_guest(Gpa(snapshot.value(distance)), &value.to_le_bytes())?;
        }
    }
    srcu.write_guest(Gpa(snapshot.address()), &bits.to_le_bytes())
}

fn snapshot(call: &Call<'_>) -> Result<Snapshot, SbiError> {
    let snapshot = call.vcpu.local().pmu.snapshot();
    snapshot.ok_or(SbiError::NoShmem)
}

/// Reads all values of the snapshot.
fn read_values(call: &Call<'_>) -> Result<Values, SbiError> {
    let snapshot = snapshot(call)?;
    let mut bytes = [0; size_of::<Values>()];
    let srcu = call.vcpu.srcu_read_lock();
    srcu.read_guest(Gpa(snapshot.value(0)), &mut bytes)
        .map_err(|_| SbiError::Failed)?;
    let mut values = [0; 64];
    for (value, bytes) in values.iter_mut().zip(bytes.chunks_exact(8)) {
        *value = bytes
            .first_chunk()
            .map_or(0, |bytes| u64::from_le_bytes(*bytes));
    }
    Ok(values)
}

fn read_firmware(call: &Call<'_>, counters: Counters) -> Result<u64, SbiError> {
    let value = match counters.get(call.arg(0)) {
        Some(counter @ Counter::Firmware(_)) => pmu::value(call.vcpu, counter),
        _ => None,
    };
    value.ok_or(SbiError::InvalidParam)
}

fn set_snapshot(call: &Call<'_>) -> Result<u64, SbiError> {
    let (low, high) = (call.arg(0), call.arg(1));
    if call.arg(2) != 0 {
        return Err(SbiError::InvalidParam);
    }
    if (low, high) == (SHMEM_DISABLE, SHMEM_DISABLE) {
        call.vcpu.local().pmu.set_snapshot(None);
        return Ok(0);
    }
    let snapshot = Snapshot::new(low).ok_or(SbiError::InvalidParam)?;
    // An address has 64 bits at most.
    if high != 0 {
        return Err(SbiError::InvalidAddress);
    }
    // This shows whether it can be written.
    let empty = [0; size_of::<u64>() + size_of::<Values>()];
    let srcu = call.vcpu.srcu_read_lock();
    srcu.write_guest(Gpa(low), &empty)
        .map_err(|_| SbiError::InvalidAddress)?;
    call.vcpu.local().pmu.set_snapshot(Some(snapshot));
    Ok(0)
}

fn event_info(call: &Call<'_>) -> Result<u64, SbiError> {
    let (low, high, count) = (call.arg(0), call.arg(1), call.arg(2));
    if call.arg(3) != 0 || low % EventInfo::SIZE as u64 != 0 || count == 0 {
        return Err(SbiError::InvalidParam);
    }
    if high != 0 {
        return Err(SbiError::InvalidAddress);
    }
    if count > INFO_MAX {
        return Err(SbiError::Failed);
    }
    let srcu = call.vcpu.srcu_read_lock();
    for n in 0..count {
        // What wraps around is no address of memory.
        let address = low.wrapping_add(n * EventInfo::SIZE as u64);
        let mut bytes = [0; EventInfo::SIZE];
        srcu.read_guest(Gpa(address), &mut bytes)
            .map_err(|_| SbiError::InvalidAddress)?;
        let can_count = EventInfo { bytes }
            .event()?
            .is_some_and(hart::pmu::can_count);
        let output = u32::from(can_count);
        srcu.write_guest(Gpa(address + EventInfo::OUTPUT), &output.to_le_bytes())
            .map_err(|_| SbiError::InvalidAddress)?;
    }
    Ok(0)
}
