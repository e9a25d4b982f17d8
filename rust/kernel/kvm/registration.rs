// SPDX-License-Identifier: GPL-2.0

//! The backend's registration with the KVM core.

use crate::{
    bindings,
    error::to_result,
    prelude::*,
    sync::atomic::{
        ordering::{
            Full,
            Release, //
        },
        Atomic, //
    },
    ThisModule, //
};

/// Whether there is a [`Registration`]: the core keeps the state of one.
static REGISTERED: Atomic<bool> = Atomic::new(false);

/// The registration with the KVM core: `/dev/kvm` exists as long as this does.
pub struct Registration(());

impl Registration {
    /// Registers the backend whose entry points are linked into the same module.
    ///
    /// # Errors
    ///
    /// [`EBUSY`] if there is a registration, and what the core returns.
    ///
    /// # Safety
    ///
    /// Nothing of the module's initialization may fail after this, and the registration must be
    /// dropped when the module is unloaded, and not before. Then there is no VM, because each VM
    /// keeps the module loaded.
    #[inline]
    pub unsafe fn new(module: &'static ThisModule) -> Result<Self> {
        if REGISTERED.xchg(true, Full) {
            return Err(EBUSY);
        }
        #[cfg(CONFIG_GUEST_PERF_EVENTS)]
        // SAFETY: Before there is a vCPU. What was registered before has been unregistered.
        unsafe {
            bindings::__kvm_register_perf_callbacks(None, None)
        };
        // SAFETY: The entry points are those of this module; `kvm_exit()` is called before the
        // module is unloaded.
        let r = to_result(unsafe {
            bindings::kvm_init(
                size_of::<bindings::kvm_vcpu>() as c_uint,
                0,
                module.as_ptr(),
            )
        });
        match r {
            Ok(()) => Ok(Self(())),
            Err(e) => {
                unregister_perf_callbacks();
                REGISTERED.store(false, Release);
                Err(e)
            }
        }
    }
}

impl Drop for Registration {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: `kvm_init()` has succeeded, and there is no VM, by the requirement of `new()`.
        unsafe { bindings::kvm_exit() };
        unregister_perf_callbacks();
        REGISTERED.store(false, Release);
    }
}

#[inline]
fn unregister_perf_callbacks() {
    #[cfg(CONFIG_GUEST_PERF_EVENTS)]
    // SAFETY: They were registered in `Registration::new()`.
    unsafe {
        bindings::kvm_unregister_perf_callbacks()
    };
}
