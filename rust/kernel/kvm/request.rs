// SPDX-License-Identifier: GPL-2.0

//! Requests: bits that any thread may set for a vCPU, which looks at them before it enters the
//! guest.
//!
//! See
//! [`Documentation/virt/kvm/vcpu-requests.rst`](srctree/Documentation/virt/kvm/vcpu-requests.rst).

use crate::bindings;

/// A request to a vCPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request(u32);

impl Request {
    /// Flush the vCPU's TLB.
    pub const TLB_FLUSH: Self = Self(bindings::KVM_REQ_TLB_FLUSH);

    /// End the sleep of a vCPU that waits for an interrupt. The core takes the request back when it
    /// wakes the vCPU for it; whoever runs the vCPU takes it back otherwise.
    pub const UNBLOCK: Self = Self(bindings::KVM_REQ_UNBLOCK);

    /// Number of requests that an architecture can have.
    pub const ARCH_MAX: u32 = 64 - bindings::KVM_REQUEST_ARCH_BASE;

    /// Returns request number `nr` of the architecture; the vCPU looks at it when it happens to.
    pub const fn arch(nr: u32) -> Self {
        assert!(nr < Self::ARCH_MAX);
        Self(bindings::KVM_REQUEST_ARCH_BASE + nr)
    }

    /// Makes the maker of the request wait until no vCPU that it was made to is in the guest still,
    /// and leaves a vCPU that sleeps asleep.
    pub const fn wait_no_wakeup(self) -> Self {
        Self(self.0 | bindings::KVM_REQUEST_WAIT | bindings::KVM_REQUEST_NO_WAKEUP)
    }

    #[inline]
    pub(super) const fn raw(self) -> u32 {
        self.0
    }
}
