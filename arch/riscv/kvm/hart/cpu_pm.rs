// SPDX-License-Identifier: GPL-2.0

//! Harts that lose their state when they idle deeply or when the system is suspended.

use crate::hart::virtualization;
use kernel::{
    bindings,
    kvm::{
        NoVcpu,
        PreemptOff, //
    },
    prelude::*,
    types::Opaque, //
};

/// Clears the guest CSRs before a hart loses its state, and sets them up again after it.
#[pin_data(PinnedDrop)]
pub(crate) struct CpuPmNotifier {
    #[pin]
    block: Opaque<bindings::notifier_block>,
}

// SAFETY: The C side synchronizes all access.
unsafe impl Send for CpuPmNotifier {}
// SAFETY: As above.
unsafe impl Sync for CpuPmNotifier {}

impl CpuPmNotifier {
    /// Registers the notifier.
    pub(crate) fn register() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            block <- Opaque::try_ffi_init(|slot: *mut bindings::notifier_block| {
                // SAFETY: `slot` is valid for writes, and pinned until `drop`.
                unsafe {
                    slot.write(bindings::notifier_block {
                        notifier_call: Some(notify),
                        ..Default::default()
                    });
                    kernel::error::to_result(bindings::cpu_pm_register_notifier(slot))
                }
            }),
        })
    }
}

#[pinned_drop]
impl PinnedDrop for CpuPmNotifier {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: Registered in `register()`.
        unsafe { bindings::cpu_pm_unregister_notifier(self.block.get()) };
    }
}

/// # Safety
///
/// Called by the notifier chain, with interrupts disabled on the CPU that goes to sleep.
unsafe extern "C" fn notify(
    _block: *mut bindings::notifier_block,
    event: c_ulong,
    _data: *mut c_void,
) -> c_int {
    // SAFETY: Interrupts are disabled, hence preemption.
    let preempt = unsafe { PreemptOff::assume() };
    match event as u32 {
        bindings::cpu_pm_event_CPU_PM_ENTER => virtualization::sleep(preempt),
        bindings::cpu_pm_event_CPU_PM_ENTER_FAILED | bindings::cpu_pm_event_CPU_PM_EXIT => {
            // SAFETY: Interrupts are disabled in the idle task, or in the task that suspends the
            // system, neither of which is a vCPU's.
            virtualization::wake(unsafe { NoVcpu::assume() }, preempt)
        }
        _ => return bindings::NOTIFY_DONE as c_int,
    }
    bindings::NOTIFY_OK as c_int
}
