// SPDX-License-Identifier: GPL-2.0

//! The performance monitoring unit of the host, through the driver that the host has for it.

use crate::{
    abi::pmu::{
        ConfigFlags,
        Counters,
        Event, //
    },
    hart::features, //
};
use kernel::{
    bindings,
    kvm::PerfEventAttr, //
};

/// Returns the counters that a guest has, or [`None`] if it has none.
///
/// Without Sscofpmf, the counters of the hart cannot be kept from counting what the host does.
pub(crate) fn counters() -> Option<Counters> {
    if !features::host_has(bindings::RISCV_ISA_EXT_SSCOFPMF) {
        return None;
    }
    let (count, width) = driver_counters()?;
    // The width of a counter is the number of its bits, less one.
    Counters::new(count, width.checked_add(1).filter(|_| width != 0)?)
}

/// Returns how many counters of the hardware the driver has, and how wide the programmable ones
/// are.
#[cfg(CONFIG_RISCV_PMU_SBI)]
fn driver_counters() -> Option<(u32, u32)> {
    let (mut width, mut count) = (0, 0);
    // SAFETY: Both places are valid for writes.
    let error = unsafe { bindings::riscv_pmu_get_hpm_info(&raw mut width, &raw mut count) };
    (error == 0).then_some((count, width))
}

#[cfg(not(CONFIG_RISCV_PMU_SBI))]
fn driver_counters() -> Option<(u32, u32)> {
    None
}

/// Returns whether the driver can count an event of the hardware.
#[cfg(CONFIG_RISCV_PMU_SBI)]
fn driver_counts(kind: u32, config: u64) -> bool {
    // SAFETY: The function checks both numbers, and writes nothing to a null pointer.
    unsafe { bindings::riscv_pmu_get_event_info(kind, config, core::ptr::null_mut()) > 0 }
}

#[cfg(not(CONFIG_RISCV_PMU_SBI))]
fn driver_counts(_: u32, _: u64) -> bool {
    false
}

/// Returns whether a counter of a guest can count an event.
pub(crate) fn can_count(event: Event) -> bool {
    match perf_event(event) {
        Some((kind, config)) => driver_counts(kind, config),
        // The firmware of a guest is this backend.
        None => true,
    }
}

/// Returns what the perf subsystem is to count for a guest, or [`None`] for an event of the
/// firmware.
pub(crate) fn attr(event: Event, flags: ConfigFlags) -> Option<PerfEventAttr> {
    let (kind, config) = perf_event(event)?;
    Some(PerfEventAttr {
        kind,
        config,
        config1: bindings::RISCV_PMU_CONFIG1_GUEST_EVENTS.into(),
        exclude_user: flags.excludes_user(),
        exclude_kernel: flags.excludes_kernel(),
    })
}

/// Returns the type and the configuration that an event of the hardware has in perf.
fn perf_event(event: Event) -> Option<(u32, u64)> {
    Some(match event {
        Event::General(event) => (
            bindings::perf_type_id_PERF_TYPE_HARDWARE,
            event.perf_config(),
        ),
        Event::Cache(event) => (
            bindings::perf_type_id_PERF_TYPE_HW_CACHE,
            event.perf_config(),
        ),
        Event::Raw(config) => (bindings::perf_type_id_PERF_TYPE_RAW, config),
        Event::Firmware(_) => return None,
    })
}
