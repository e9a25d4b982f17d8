// SPDX-License-Identifier: GPL-2.0

//! Calls to the host's own SBI implementation, its firmware or the hypervisor below.

use crate::abi::sbi::SbiError;
use kernel::{
    bindings,
    prelude::*, //
};

/// Calls function `fid` of extension `eid`.
///
/// # Safety
///
/// The call must not do to memory, or to the hart, what the kernel does not expect.
#[inline]
pub(crate) unsafe fn call(eid: u64, fid: u64, args: [u64; 3]) -> Result<u64, SbiError> {
    // SAFETY: By the requirement.
    let ret = unsafe {
        bindings::__sbi_ecall(
            args[0] as usize,
            args[1] as usize,
            args[2] as usize,
            0,
            0,
            0,
            fid as c_int,
            eid as c_int,
        )
    };
    SbiError::check(ret.error as i64).map(|()| ret.value as u64)
}

/// Returns whether the extension is there.
pub(crate) fn has_extension(eid: u64) -> bool {
    // SAFETY: Always safe to call.
    unsafe { bindings::sbi_probe_extension(eid as c_int) > 0 }
}

/// Returns whether the SBI is at least of this version.
pub(crate) fn version_at_least(major: u8, minor: u32) -> bool {
    // SAFETY: Written only at boot.
    let version = unsafe { bindings::sbi_spec_version };
    version as u64 >= crate::abi::sbi::spec_version(major, minor)
}

/// The identity of the host's harts, as its SBI reports it.
#[derive(Clone, Copy)]
pub(crate) struct MachineIds {
    /// The vendor.
    pub(crate) mvendorid: u64,
    /// The microarchitecture.
    pub(crate) marchid: u64,
    /// Its version.
    pub(crate) mimpid: u64,
}

impl MachineIds {
    /// Returns the identity that the SBI reports.
    pub(crate) fn of_host() -> Self {
        // SAFETY: Always safe to call.
        unsafe {
            Self {
                mvendorid: bindings::sbi_get_mvendorid() as u64,
                marchid: bindings::sbi_get_marchid() as u64,
                mimpid: bindings::sbi_get_mimpid() as u64,
            }
        }
    }
}
