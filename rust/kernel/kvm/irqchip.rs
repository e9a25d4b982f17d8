// SPDX-License-Identifier: GPL-2.0

//! An interrupt controller in the kernel, and the routes to it.
//!
//! User space names an interrupt by its GSI. The routing table of a VM, which belongs to the core,
//! says where a GSI leads: to a pin of the controller, or to a message.

use super::{
    backend::{
        IrqchipOps,
        LinkedBackend, //
    },
    vm::Vm, //
};
use crate::{
    bindings,
    error::to_result,
    prelude::*, //
};

/// The number of pins that routes can lead to: pins are smaller.
pub const IRQCHIP_PINS: u32 = bindings::KVM_IRQCHIP_NUM_PINS;

/// A message-signaled interrupt: a store to the guest's physical memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Msi {
    /// The address that a device would write to.
    pub address: u64,
    /// The value that it would write.
    pub data: u32,
}

impl<B: IrqchipOps + LinkedBackend> Vm<B> {
    /// Makes each GSI below `pins` lead to the pin of its number, and all others nowhere, as
    /// `KVM_SET_GSI_ROUTING` would. May sleep.
    ///
    /// # Errors
    ///
    /// [`ENXIO`] if the VM has no interrupt controller, [`EINVAL`] if there are more pins than
    /// [`IRQCHIP_PINS`], and [`ENOMEM`].
    pub fn route_pins(&self, pins: u32) -> Result {
        if !<B as IrqchipOps>::in_kernel(self) {
            return Err(ENXIO);
        }
        if pins > IRQCHIP_PINS {
            return Err(EINVAL);
        }
        let mut routes = KVec::with_capacity(pins as usize, GFP_KERNEL)?;
        for pin in 0..pins {
            let mut route = bindings::kvm_irq_routing_entry {
                gsi: pin,
                type_: bindings::KVM_IRQ_ROUTING_IRQCHIP,
                ..Default::default()
            };
            route.u.irqchip = bindings::kvm_irq_routing_irqchip { irqchip: 0, pin };
            routes.push(route, GFP_KERNEL)?;
        }
        // SAFETY: The VM is valid, and `routes` has `pins` entries.
        to_result(unsafe { bindings::kvm_set_irq_routing(self.as_raw(), routes.as_ptr(), pins, 0) })
    }
}

impl<B: LinkedBackend> Vm<B> {
    /// Returns whether there may be an eventfd that holds a wire high until the guest has handled
    /// the interrupt. Whoever is called for such an eventfd gets `true`.
    #[inline]
    pub(super) fn has_resampling_eventfds(&self) -> bool {
        // SAFETY: The VM is valid. The list is empty if its head points to itself, which is read as
        // an atomic.
        unsafe {
            let list = &raw const (*self.as_raw()).irqfds.resampler_list;
            !core::ptr::eq((&raw const (*list).next).read_volatile(), list)
        }
    }
}
