// SPDX-License-Identifier: GPL-2.0

//! What stands for a perf event in a kernel without perf: none is ever made.

use super::{
    PerfEventAttr,
    Turn, //
};
use crate::{
    bindings,
    kvm::backend::{
        Backend,
        VcpuOps, //
    },
    prelude::*, //
};
use core::{
    convert::Infallible,
    marker::PhantomData, //
};

/// A perf event, of which there are none.
pub(super) struct PerfEvent<B: Backend>(Infallible, PhantomData<fn() -> B>);

impl<B: VcpuOps> PerfEvent<B> {
    /// Fails with [`ENODEV`].
    ///
    /// # Safety
    ///
    /// There are no requirements.
    pub(super) unsafe fn new(
        _: *mut bindings::kvm_vcpu,
        _: u32,
        _: &PerfEventAttr,
        _: Turn,
    ) -> Result<Self> {
        Err(ENODEV)
    }

    pub(super) fn arm(&self, _: u64) -> u64 {
        match self.0 {}
    }

    pub(super) fn disarm(&self) -> bool {
        match self.0 {}
    }

    pub(super) fn end(&self) -> u64 {
        match self.0 {}
    }

    pub(super) fn report(&self) {
        match self.0 {}
    }

    pub(super) fn count(&self) -> u64 {
        match self.0 {}
    }

    pub(super) fn is_of_current_thread(&self) -> bool {
        match self.0 {}
    }
}
