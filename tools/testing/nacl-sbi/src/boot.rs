// SPDX-License-Identifier: GPL-2.0

//! What each hart does once.

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

/// What QEMU tells of the next stage: the structure of OpenSBI's `fw_dynamic`.
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

/// The first function that a hart calls.
pub extern "C" fn main(id: usize, fdt: usize, next: *const NextStage) -> ! {
    let frame = if FIRST.swap(false, AcqRel) {
        // SAFETY: QEMU passes the device tree, which is nobody's yet.
        unsafe { platform::init(fdt) };
        // SAFETY: QEMU passes this to all firmware.
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
    // SAFETY: The only call on this hart before the first trap.
    host::reset::reset(unsafe { hart::this() });
    // SAFETY: The frame is complete.
    unsafe { resume(&frame) }
}

/// What M-mode allows the others, once for ever.
fn init() {
    // Dirty, so that whether they are off is the host's affair.
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
    // The firmware's memory is nobody else's, but for one page; all other is everybody's.
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

/// The address of a region, as PMP has it.
fn napot(start: u64, size: u64) -> u64 {
    (start | (size / 2 - 1)) >> 2
}
