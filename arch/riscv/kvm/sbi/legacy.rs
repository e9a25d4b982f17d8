// SPDX-License-Identifier: GPL-2.0

//! The extensions of SBI v0.1 (SBI specification, chapter 5), each a single function.
//!
//! They return a value in `a0` and leave all other registers alone. A call names harts by the
//! virtual address of a bit vector in the guest's memory. Address zero names all harts.

use super::{
    call::{
        Answer,
        Call, //
    },
    harts,
    ipi,
    rfence::Wanted,
    srst,
    time, //
};
use crate::{
    abi::sbi::{
        FirmwareEvent,
        HartMask,
        Legacy, //
    },
    exits::guest_memory::{
        self,
        ReadError, //
    },
    hart::csr::VsInterrupt,
    vcpu::{
        completion::Completion,
        interrupts, //
    },
};
use kernel::{
    bindings,
    kvm::Gva, //
};

pub(super) fn handle(call: &Call<'_>, function: Legacy) -> Answer {
    let done = match function {
        Legacy::SetTimer => {
            time::set_timer(call);
            Ok(())
        }
        Legacy::ClearIpi => return Answer::Legacy(clear_ipi(call)),
        Legacy::SendIpi => for_harts(call, |mask| {
            ipi::send_each(call, mask);
        })
        .inspect(|()| call.vcpu.shared().pmu.count(FirmwareEvent::IpiSent)),
        Legacy::RemoteFenceI => fence(call, Wanted::FenceI),
        Legacy::RemoteSfenceVma => fence(call, Wanted::sfence(call.arg(1), call.arg(2), None)),
        Legacy::RemoteSfenceVmaAsid => fence(
            call,
            Wanted::sfence(call.arg(1), call.arg(2), Some(call.arg(3))),
        ),
        Legacy::Shutdown => return srst::end(call, bindings::KVM_SYSTEM_EVENT_SHUTDOWN, 0),
        // Only user space has a console.
        Legacy::ConsolePutchar | Legacy::ConsoleGetchar => {
            return Answer::AskUser(Completion::LegacySbi)
        }
    };
    match done {
        Ok(()) => Answer::Legacy(0),
        Err(error) => Answer::ReadFailed(error),
    }
}

/// Clears the software interrupt of the calling hart. Returns whether it was pending.
fn clear_ipi(call: &Call<'_>) -> u64 {
    u64::from(interrupts::clear(call.vcpu, VsInterrupt::Software))
}

fn fence(call: &Call<'_>, wanted: Wanted) -> Result<(), ReadError> {
    for_harts(call, |mask| {
        wanted.fence_each(call, mask);
    })?;
    wanted.count_sent(call);
    Ok(())
}

/// Calls `f` with the harts that the first argument names, 64 at a time.
///
/// If the vector cannot be read, the guest makes the call again from its start. To interrupt or
/// fence a hart twice has the same effect as once.
fn for_harts(call: &Call<'_>, f: impl Fn(HartMask)) -> Result<(), ReadError> {
    const BITS: u64 = u64::BITS as u64;

    let vector = call.arg(0);
    if vector == 0 {
        f(HartMask::all());
        return Ok(());
    }
    // Read only the words that name harts of the VM.
    let last = call.vcpu.vm().vcpus().map(harts::hartid).max().unwrap_or(0);
    for n in 0..=last / BITS {
        let gva = Gva(vector.wrapping_add(n * size_of::<u64>() as u64));
        f(HartMask::new(guest_memory::read(call.vcpu, gva)?, n * BITS));
    }
    Ok(())
}
