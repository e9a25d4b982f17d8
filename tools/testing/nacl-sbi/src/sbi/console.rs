// SPDX-License-Identifier: GPL-2.0

//! The extension "Debug Console".

use super::call::Call;
use crate::machine::{console, platform};
use rustsbi::{Console, Physical, SbiRet};

impl Console for Call<'_> {
    fn write(&self, bytes: Physical<&[u8]>) -> SbiRet {
        let address = bytes.phys_addr_lo();
        let count = bytes.num_bytes();
        if bytes.phys_addr_hi() != 0 || !platform::is_host_ram(address, count) {
            return SbiRet::invalid_param();
        }
        let bytes = address..address + count;
        bytes.filter_map(platform::host_byte).for_each(console::put);
        SbiRet::success(count)
    }

    fn read(&self, _: Physical<&mut [u8]>) -> SbiRet {
        SbiRet::success(0)
    }

    fn write_byte(&self, byte: u8) -> SbiRet {
        console::put(byte);
        SbiRet::success(0)
    }
}
