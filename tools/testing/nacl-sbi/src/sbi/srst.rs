// SPDX-License-Identifier: GPL-2.0

//! The extension "System Reset".

use super::call::Call;
use crate::{
    machine::{
        console,
        platform::{self, End},
    },
    testing::counters,
};
use rustsbi::{Reset, SbiRet};
use sbi_spec::srst::{
    RESET_REASON_SYSTEM_FAILURE, RESET_TYPE_COLD_REBOOT, RESET_TYPE_SHUTDOWN,
    RESET_TYPE_WARM_REBOOT,
};

/// Prints how many harts have shared memory: a host that ends, or that starts another kernel, must
/// have disabled all of it.
fn tell_of_shmem() {
    let in_use = |hart: &usize| counters::shmem(*hart).is_some_and(|address| address != 0);
    let harts = (0..platform::get().harts).filter(in_use).count();
    console::print(format_args!(
        "nacl-sbi: reset, {harts} harts have shared memory\n"
    ));
}

impl Reset for Call<'_> {
    fn system_reset(&self, kind: u32, reason: u32) -> SbiRet {
        tell_of_shmem();
        match kind {
            RESET_TYPE_SHUTDOWN if reason == RESET_REASON_SYSTEM_FAILURE => platform::fail(),
            RESET_TYPE_SHUTDOWN => platform::get().end(End::Pass),
            RESET_TYPE_COLD_REBOOT | RESET_TYPE_WARM_REBOOT => platform::get().end(End::Reset),
            _ => SbiRet::invalid_param(),
        }
    }
}
