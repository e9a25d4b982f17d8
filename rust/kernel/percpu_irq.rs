// SPDX-License-Identifier: GPL-2.0

//! Interrupts of which each CPU has its own instance.
//!
//! Such an interrupt has one number, and one handler, on all CPUs. Each CPU enables and disables
//! its own instance.
//!
//! C header: [`include/linux/interrupt.h`](srctree/include/linux/interrupt.h)

use crate::{
    bindings,
    error::to_result,
    interrupt::LocalInterruptDisabled,
    kvm::{
        context::with_irqs_saved,
        PreemptOff, //
    },
    percpu::PerCpu,
    prelude::*,
    str::CStrExt as _,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
};
use core::marker::PhantomData;

mod handled;

/// The handler of an interrupt of which each CPU has its own instance.
pub trait PercpuIrqHandler: 'static {
    /// The type of the variable of which each CPU has its own instance, too.
    type Data: Sync + 'static;

    /// Handles the interrupt on this CPU, whose instance of the variable is `data`.
    ///
    /// Called in the context of a hard interrupt, under `PREEMPT_RT` as well: nothing here may
    /// sleep, and locks must be [raw spinlocks](crate::raw_spinlock).
    fn handle(data: &Self::Data, irq: &LocalInterruptDisabled);
}

/// The registration of a handler, which is called on the CPUs that
/// [enable](Self::enable_here) the interrupt.
///
/// # Invariants
///
/// `irq` is the number of an interrupt with `H` as its handler and with `data` as its cookie.
/// `enabled` is the number of CPUs on which it is enabled.
pub struct PercpuIrq<H: PercpuIrqHandler> {
    irq: u32,
    data: &'static PerCpu<H::Data>,
    enabled: Atomic<i32>,
    _handler: PhantomData<fn() -> H>,
}

impl<H: PercpuIrqHandler> PercpuIrq<H> {
    /// Registers `H` as the handler of the interrupt with this number, as
    /// [`irq_of_hwirq`] returns it. No CPU has it enabled yet.
    ///
    /// `data` is also what tells this registration from others of the same interrupt.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if there is no such interrupt, or CPUs have no instances of it, or it has a
    /// handler.
    pub fn new(irq: u32, name: &'static CStr, data: &'static PerCpu<H::Data>) -> Result<Self> {
        // SAFETY: The name and the variable stay for ever, and the handler until
        // `free_percpu_irq()` is called. It is what the handler wants: such interrupts have the
        // CPU's instance of the variable for an argument.
        to_result(unsafe {
            bindings::request_percpu_irq_affinity(
                irq,
                Some(Self::handler),
                name.as_char_ptr(),
                core::ptr::null(),
                Self::cookie(data),
            )
        })?;
        // INVARIANT: The handler has just been registered. Nobody has enabled the interrupt, for
        // one with a handler cannot be registered again.
        Ok(Self {
            irq,
            data,
            enabled: Atomic::new(0),
            _handler: PhantomData,
        })
    }

    /// Enables the interrupt on this CPU. Does nothing if it is enabled.
    pub fn enable_here(&self, _: &PreemptOff) {
        with_irqs_saved(|_| {
            if self.is_enabled_here() {
                return;
            }
            // SAFETY: By the invariants, the interrupt has a handler. This CPU stays the same.
            unsafe { bindings::enable_percpu_irq(self.irq, bindings::IRQ_TYPE_NONE) };
            if self.is_enabled_here() {
                // INVARIANT: This CPU is one more.
                self.enabled.fetch_add(1, Relaxed);
            }
        });
    }

    /// Disables the interrupt on this CPU. Does nothing if it is disabled.
    ///
    /// The handler does not run on this CPU when this returns, unless it is the caller.
    pub fn disable_here(&self, _: &PreemptOff) {
        with_irqs_saved(|_| {
            if self.is_enabled_here() {
                // SAFETY: By the invariants, the interrupt is ours. This CPU stays the same.
                unsafe { bindings::disable_percpu_irq(self.irq) };
                // INVARIANT: This CPU is one less.
                self.enabled.fetch_sub(1, Relaxed);
            }
        });
    }

    /// Interrupts must be disabled, so that this CPU stays the same.
    fn is_enabled_here(&self) -> bool {
        // SAFETY: Looks the number up.
        unsafe { bindings::irq_percpu_is_enabled(self.irq) }
    }

    fn cookie(data: &'static PerCpu<H::Data>) -> *mut c_void {
        core::ptr::from_ref(data).cast_mut().cast()
    }

    /// # Safety
    ///
    /// Must be called as the handler of an interrupt with an instance of `PerCpu<H::Data>`.
    unsafe extern "C" fn handler(_irq: c_int, data: *mut c_void) -> bindings::irqreturn_t {
        // SAFETY: By the requirement; `PerCpu` is transparent, and its static stays for ever.
        // Handlers of such interrupts are called with interrupts disabled.
        let (data, irq) = unsafe {
            (
                &*data.cast::<H::Data>(),
                LocalInterruptDisabled::assume_disabled(),
            )
        };
        H::handle(data, irq);
        handled::HANDLED
    }

    /// # Safety
    ///
    /// `this` must point to a registration. Interrupts must be disabled.
    unsafe extern "C" fn disable_on_cpu(this: *mut c_void) {
        // SAFETY: By the requirement.
        let (this, irq) = unsafe {
            (
                &*this.cast::<Self>(),
                LocalInterruptDisabled::assume_disabled(),
            )
        };
        this.disable_here(PreemptOff::from_irq_off(irq));
    }
}

/// Disables the interrupt on all CPUs that are online, and unregisters the handler. May sleep.
///
/// Panics if the interrupt is enabled on a CPU that has gone offline since: it must have been
/// disabled there before, for the handler cannot be taken away from it.
impl<H: PercpuIrqHandler> Drop for PercpuIrq<H> {
    fn drop(&mut self) {
        if self.enabled.load(Relaxed) != 0 {
            // SAFETY: `self` outlives the call, which waits. Functions are called with interrupts
            // disabled.
            unsafe {
                bindings::on_each_cpu_cond_mask(
                    None,
                    Some(Self::disable_on_cpu),
                    core::ptr::from_ref(self).cast_mut().cast(),
                    true,
                    &raw const bindings::__cpu_online_mask,
                )
            };
        }
        assert!(self.enabled.load(Relaxed) == 0);
        // SAFETY: By the invariants, the handler was registered with this cookie. The interrupt is
        // enabled nowhere, and a CPU that has disabled it has left the handler.
        unsafe { bindings::free_percpu_irq(self.irq, Self::cookie(self.data)) };
    }
}

/// Returns the number that the kernel has for interrupt `hwirq` of an interrupt controller, named
/// by its firmware node. May sleep. The number stays the same from the first call on.
///
/// # Errors
///
/// [`ENOENT`] if the node has no interrupt controller, [`ENOMEM`] if there is no number for the
/// interrupt.
///
/// # Safety
///
/// `fwnode` must be null or point to a firmware node, whose interrupt controller is never removed.
pub unsafe fn irq_of_hwirq(fwnode: *mut bindings::fwnode_handle, hwirq: usize) -> Result<u32> {
    let mut fwspec = bindings::irq_fwspec {
        fwnode,
        ..Default::default()
    };
    // SAFETY: The specifier is valid, by the requirement.
    let domain = unsafe {
        bindings::irq_find_matching_fwspec(
            &raw mut fwspec,
            bindings::irq_domain_bus_token_DOMAIN_BUS_ANY,
        )
    };
    if domain.is_null() {
        return Err(ENOENT);
    }
    // SAFETY: By the requirement, the domain is valid.
    match unsafe { bindings::irq_create_mapping_affinity(domain, hwirq, core::ptr::null()) } {
        0 => Err(ENOMEM),
        irq => Ok(irq),
    }
}
