// SPDX-License-Identifier: GPL-2.0

//! The SBI that the guest sees: which extensions it has, and how a call gets to one.

#![deny(unsafe_code)]

mod base;
mod hsm;
mod ipi;
mod legacy;
mod rfence;
mod srst;
mod time;

use crate::{
    abi::{
        one_reg::{
            Numbered,
            SbiExtId, //
        },
        sbi::{
            ExtensionId,
            Legacy,
            SbiError,
            Standard, //
        },
    },
    exits::{
        page_fault,
        Next, //
    },
    switch::{
        guest_load::ReadError,
        regs::Regs, //
    },
    vcpu::completion::{
        self,
        Pending, //
    },
    Riscv, //
};
use kernel::{
    interrupt::LocalInterruptDisabled,
    kvm::{
        stats::vcpu_counter,
        LoadedVcpu,
        PreemptOff, //
    },
    prelude::*, //
};

/// What an extension makes of a call.
enum Answer {
    /// It returns a value, or an error.
    Return(Result<u64, SbiError>),
    /// It returns a value in `a0` alone, as those of SBI v0.1 do.
    Legacy(u64),
    /// What it has to read in the guest's memory cannot be read.
    ReadFailed(ReadError),
    /// User space serves it, and this is how its answer gets to the guest.
    AskUser(Pending),
    /// The guest does not go on for now; the run area tells user space why.
    Leave,
}

impl Answer {
    /// The call succeeds, and has nothing to say.
    const DONE: Self = Self::Return(Ok(0));

    const fn error(error: SbiError) -> Self {
        Self::Return(Err(error))
    }
}

/// A call: the function and its arguments.
struct Call<'a> {
    vcpu: &'a LoadedVcpu<'a, Riscv>,
    /// The extension.
    eid: u64,
    /// Function of the extension.
    fid: u64,
    regs: Regs<'a>,
}

impl<'a> Call<'a> {
    /// Returns the call that the guest has stopped for.
    #[inline(always)]
    fn of(vcpu: &'a LoadedVcpu<'a, Riscv>) -> Self {
        let regs = Regs::of(vcpu);
        Self {
            vcpu,
            eid: regs.x(17),
            fid: regs.x(16),
            regs,
        }
    }

    /// Returns whether the guest has an extension.
    #[inline(always)]
    fn has(&self, ext: SbiExtId) -> bool {
        self.vcpu.local().sbi.get().has(ext)
    }

    /// Returns argument number `n`, from 0 to 5.
    #[inline(always)]
    fn arg(&self, n: usize) -> u64 {
        self.regs.x(10 + n)
    }
}

/// Which extensions a guest's SBI has.
#[derive(Clone, Copy)]
pub(crate) struct SbiExtensions(u32);

impl SbiExtensions {
    /// Returns the extensions that a guest has if user space says nothing else.
    pub(crate) fn new() -> Self {
        SbiExtId::all()
            .filter(|ext| default_on(*ext) == Some(true))
            .fold(Self(0), |set, ext| set.with(ext, true))
    }

    /// Returns whether the guest has `ext`.
    #[inline(always)]
    pub(crate) const fn has(self, ext: SbiExtId) -> bool {
        self.0 & 1 << ext as u32 != 0
    }

    /// Returns the set with `ext`, or without it.
    pub(crate) const fn with(self, ext: SbiExtId, on: bool) -> Self {
        let bit = 1 << ext as u32;
        if on {
            Self(self.0 | bit)
        } else {
            Self(self.0 & !bit)
        }
    }
}

/// Returns whether a guest has an extension if user space says nothing else, or [`None`] if it
/// cannot have it.
pub(crate) const fn default_on(ext: SbiExtId) -> Option<bool> {
    match ext {
        SbiExtId::Time
        | SbiExtId::Ipi
        | SbiExtId::Rfence
        | SbiExtId::Srst
        | SbiExtId::Hsm
        | SbiExtId::Experimental
        | SbiExtId::Vendor => Some(true),
        // The register is part of the ABI, whether this kernel serves the calls or not.
        SbiExtId::V01 => Some(true),
        // They are of no use before user space is ready to serve them.
        SbiExtId::Dbcn | SbiExtId::Mpxy => Some(false),
        SbiExtId::Pmu | SbiExtId::Sta | SbiExtId::Susp | SbiExtId::Fwft => None,
    }
}

/// The extension that serves a call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extension {
    Legacy(Legacy),
    Base,
    Time,
    Ipi,
    Rfence,
    Hsm,
    Srst,
    /// User space has it.
    User,
    /// One of a range that user space has. Only user space knows which of their numbers it serves.
    UserRange,
}

/// Returns the extension with number `eid`, if the guest has it.
fn find(enabled: SbiExtensions, eid: u64) -> Option<Extension> {
    let (id, extension) = match ExtensionId::from_eid(eid)? {
        ExtensionId::Legacy(_) if !cfg!(CONFIG_RISCV_SBI_V01) => return None,
        ExtensionId::Legacy(function) => (SbiExtId::V01, Extension::Legacy(function)),
        // The one that every SBI has.
        ExtensionId::Standard(Standard::Base) => return Some(Extension::Base),
        ExtensionId::Standard(Standard::Time) => (SbiExtId::Time, Extension::Time),
        ExtensionId::Standard(Standard::Ipi) => (SbiExtId::Ipi, Extension::Ipi),
        ExtensionId::Standard(Standard::Rfence) => (SbiExtId::Rfence, Extension::Rfence),
        ExtensionId::Standard(Standard::Hsm) => (SbiExtId::Hsm, Extension::Hsm),
        ExtensionId::Standard(Standard::Srst) => (SbiExtId::Srst, Extension::Srst),
        ExtensionId::Standard(Standard::Dbcn) => (SbiExtId::Dbcn, Extension::User),
        ExtensionId::Standard(Standard::Mpxy) => (SbiExtId::Mpxy, Extension::User),
        ExtensionId::Experimental(_) => (SbiExtId::Experimental, Extension::UserRange),
        ExtensionId::Vendor(_) => (SbiExtId::Vendor, Extension::UserRange),
        _ => return None,
    };
    enabled.has(id).then_some(extension)
}

/// Serves a call that takes nothing but this hart and the state of the vCPU itself. Returns `false`
/// if it is not such a call: then it is for [`handle`].
#[inline(always)]
pub(crate) fn handle_on_hart(vcpu: &LoadedVcpu<'_, Riscv>, hart: &LocalInterruptDisabled) -> bool {
    const BASE: u64 = Standard::Base.raw();
    const TIME: u64 = Standard::Time.raw();
    const IPI: u64 = Standard::Ipi.raw();

    let call = Call::of(vcpu);

    // A few comparisons, in place of the search of `find()`.
    let value = match call.eid {
        BASE => base::on_hart(&call),
        TIME if call.has(SbiExtId::Time) => time::on_hart(&call, hart),
        IPI if call.has(SbiExtId::Ipi) => ipi::on_hart(&call, hart),
        _ => None,
    };
    let Some(value) = value else {
        return false;
    };
    completion::finish_sbi(call.regs, 0, value);
    true
}

/// Serves a call with interrupts disabled, if that takes no wait. Returns `false` if it is not such a
/// call: then it is for [`handle`].
pub(crate) fn handle_at_once(vcpu: &LoadedVcpu<'_, Riscv>, preempt: &PreemptOff) -> bool {
    const IPI: u64 = Standard::Ipi.raw();
    const RFENCE: u64 = Standard::Rfence.raw();

    let call = Call::of(vcpu);

    let result = match call.eid {
        IPI if call.has(SbiExtId::Ipi) => ipi::at_once(&call),
        RFENCE if call.has(SbiExtId::Rfence) => rfence::at_once(&call, preempt),
        _ => None,
    };
    let Some(result) = result else {
        return false;
    };
    finish(call.regs, result);
    true
}

/// Gives the guest its answer.
#[inline]
fn finish(regs: Regs<'_>, result: Result<u64, SbiError>) {
    let (error, value) = match result {
        Ok(value) => (0, value),
        Err(e) => (e.raw(), 0),
    };
    completion::finish_sbi(regs, error, value);
}

/// Handles a call of the guest.
pub(crate) fn handle(vcpu: &LoadedVcpu<'_, Riscv>) -> Result<Next> {
    let call = Call::of(vcpu);

    let answer = match find(vcpu.local().sbi.get(), call.eid) {
        Some(Extension::Legacy(function)) => legacy::handle(&call, function),
        Some(Extension::Base) => base::handle(&call),
        Some(Extension::Time) => time::handle(&call),
        Some(Extension::Ipi) => ipi::handle(&call),
        Some(Extension::Rfence) => rfence::handle(&call),
        Some(Extension::Hsm) => hsm::handle(&call),
        Some(Extension::Srst) => srst::handle(&call),
        Some(Extension::User | Extension::UserRange) => Answer::AskUser(Pending::Sbi),
        None => Answer::error(SbiError::NotSupported),
    };
    match answer {
        Answer::Return(result) => {
            finish(call.regs, result);
            Ok(Next::Enter)
        }
        Answer::Legacy(value) => {
            completion::finish_legacy_sbi(call.regs, value);
            Ok(Next::Enter)
        }
        Answer::ReadFailed(ReadError::Trap(trap)) => page_fault::handle_read(vcpu, &trap),
        Answer::ReadFailed(ReadError::Again) => Ok(Next::Enter),
        Answer::ReadFailed(ReadError::Failed(e)) => Err(e),
        Answer::AskUser(pending) => {
            vcpu.count(vcpu_counter!(ecall_exit_stat));
            completion::ask_sbi(vcpu, pending);
            Ok(Next::Return)
        }
        Answer::Leave => Ok(Next::Return),
    }
}
