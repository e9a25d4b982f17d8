// SPDX-License-Identifier: GPL-2.0

//! The backend's registration with the KVM core.

use super::context::NoVcpu;
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

/// Whether there is an [`Unregistered`] or a [`Registration`]: the core keeps the state of one.
static RESERVED: Atomic<bool> = Atomic::new(false);

/// The right to register a backend with the KVM core. As long as this exists, there is no VM.
pub struct Unregistered {
    module: &'static ThisModule,
    reserved: Reserved,
}

impl Unregistered {
    /// Takes the right for the backend whose entry points are linked into `module`.
    ///
    /// # Errors
    ///
    /// [`EBUSY`] if somebody has it, or a registration.
    ///
    /// # Safety
    ///
    /// Nothing of the module's initialization may fail after [`register`](Self::register) has
    /// succeeded, and the registration must be dropped when the module is unloaded, and not before.
    /// Then there is no VM, because each VM keeps the module loaded.
    #[inline]
    pub unsafe fn new(module: &'static ThisModule) -> Result<Self> {
        if RESERVED.xchg(true, Full) {
            return Err(EBUSY);
        }
        Ok(Self {
            module,
            reserved: Reserved,
        })
    }

    /// Returns the token that no vCPU is loaded: there is none.
    #[inline]
    pub fn no_vcpu(&self) -> &NoVcpu {
        // SAFETY: Without a registration, there is no VM. `register()` consumes `self`, and with it
        // the lifetime of the result.
        unsafe { NoVcpu::assume() }
    }

    /// Registers the backend.
    ///
    /// # Errors
    ///
    /// What the core returns.
    #[inline]
    pub fn register(self) -> Result<Registration> {
        #[cfg(CONFIG_GUEST_PERF_EVENTS)]
        // SAFETY: Before there is a vCPU. What was registered before has been unregistered.
        unsafe {
            bindings::__kvm_register_perf_callbacks(None, None)
        };
        // SAFETY: The entry points are those of this module; `kvm_exit()` is called before the
        // module is unloaded, by the requirement of `new()`.
        let r = to_result(unsafe {
            bindings::kvm_init(
                size_of::<bindings::kvm_vcpu>() as c_uint,
                0,
                self.module.as_ptr(),
            )
        });
        if let Err(e) = r {
            unregister_perf_callbacks();
            return Err(e);
        }
        Ok(Registration {
            _reserved: self.reserved,
        })
    }
}

/// The registration with the KVM core: `/dev/kvm` exists as long as this does.
pub struct Registration {
    _reserved: Reserved,
}

impl Drop for Registration {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: `kvm_init()` has succeeded, and there is no VM, by the requirement of
        // `Unregistered::new()`.
        unsafe { bindings::kvm_exit() };
        unregister_perf_callbacks();
    }
}

/// That [`RESERVED`] was set, for whoever has this.
struct Reserved;

impl Drop for Reserved {
    #[inline]
    fn drop(&mut self) {
        RESERVED.store(false, Release);
    }
}

#[inline]
fn unregister_perf_callbacks() {
    #[cfg(CONFIG_GUEST_PERF_EVENTS)]
    // SAFETY: They were registered in `Unregistered::register()`.
    unsafe {
        bindings::kvm_unregister_perf_callbacks()
    };
}
