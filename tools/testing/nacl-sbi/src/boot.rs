// SPDX-License-Identifier: GPL-2.0

//! The first code of each hart after reset.

use crate::{
    hart,
    harts::{start, state},
    host,
    machine::{
        console, csr,
        entry::{hs_mode_entry, resume},
        fields::{envcfg, mseccfg},
        frame::Mstatus,
        irq, platform,
    },
};
use core::sync::atomic::{AtomicBool, Ordering::*};

/// The next stage to boot, as QEMU passes it: the structure of OpenSBI's `fw_dynamic`.
#[repr(C)]
pub struct NextStage {
    magic: u64,
    version: u64,
    address: u64,
    mode: u64,
}

const MAGIC: u64 = 0x4942_534f;

static FIRST: AtomicBool = AtomicBool::new(true);
static READY: AtomicBool = AtomicBool::new(false);

/// Initializes the hart, and starts the host on it. The first hart also initializes the platform;
/// all others wait until a hart starts them.
pub extern "C" fn main(id: usize, fdt: usize, next: *const NextStage) -> ! {
    let frame = if FIRST.swap(false, AcqRel) {
        // SAFETY: QEMU passes the device tree, and nobody else uses it yet.
        unsafe { platform::init(fdt) };
        // SAFETY: QEMU passes this structure to all firmware.
        let next = unsafe { &*next };
        if next.magic != MAGIC {
            panic!("QEMU does not tell where the kernel is: is there a -kernel?");
        }
        if id >= platform::get().harts {
            panic!("harts are not numbered from zero");
        }
        console::print(format_args!(
            "nacl-sbi: {} harts, features {:#x}\n",
            platform::get().harts,
            platform::features()
        ));
        READY.store(true, Release);
        state::start(id, next.address, fdt as u64);
        start::wait(id)
    } else {
        while !READY.load(Acquire) {
            core::hint::spin_loop();
        }
        start::wait(id)
    };
    init();
    // SAFETY: This is the only call on this hart before the first trap.
    host::reset::reset(unsafe { hart::this() });
    // SAFETY: The frame is complete, and nothing on the stack is needed any more.
    unsafe { resume(&frame) }
}

/// Writes the CSRs of M-mode that permit things to lower privilege levels. They never change
/// afterwards.
fn init() {
    // Dirty, so that the host alone decides whether floating point and vectors are off.
    csr::write(csr::MSTATUS, Mstatus::FS_VS);
    let stub = &raw const hs_mode_entry as u64;
    csr::write(csr::MIDELEG, irq::STIP | irq::SEIP | irq::SSIP);
    csr::write(csr::STVEC, stub);
    csr::write(csr::SATP, 0);
    csr::write(csr::MCOUNTEREN, u64::MAX);
    let adue = if platform::get().updates_ad {
        envcfg::ADUE
    } else {
        0
    };
    csr::write(
        csr::MENVCFG,
        envcfg::CACHE_BLOCKS | envcfg::PBMTE | envcfg::STCE | adue,
    );
    if platform::has_csr(csr::HSTATEEN0) {
        for csr in [
            csr::MSTATEEN0,
            csr::MSTATEEN1,
            csr::MSTATEEN2,
            csr::MSTATEEN3,
        ] {
            csr::write(csr, u64::MAX);
        }
    }
    if csr::exists(csr::MSECCFG) {
        csr::write(csr::MSECCFG, mseccfg::SSEED);
    }
    // Nobody else accesses the firmware's memory, except for one page; everything else is
    // accessible.
    let firmware = platform::FIRMWARE;
    csr::write(csr::PMPADDR0, napot(stub, 0x1000));
    csr::write(
        csr::PMPADDR1,
        napot(firmware.start as u64, firmware.len() as u64),
    );
    csr::write(csr::PMPADDR2, u64::MAX >> 10);
    const NAPOT: u64 = 3 << 3;
    const RX: u64 = 5;
    const RWX: u64 = 7;
    csr::write(
        csr::PMPCFG0,
        (NAPOT | RX) | NAPOT << 8 | (NAPOT | RWX) << 16,
    );
}

/// Returns a region in the format of `pmpaddr`.
fn napot(start: u64, size: u64) -> u64 {
    (start | (size / 2 - 1)) >> 2
}
