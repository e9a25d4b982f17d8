// SPDX-License-Identifier: GPL-2.0

//! Calls of the host, by way of the crate that knows the numbers.

pub mod hsm;
pub mod nacl;

use crate::{
    hart::Hart,
    harts::remote::{self, Fence, Kind},
    machine::{
        csr,
        entry::Frame,
        platform::{self, End},
    },
    testing::counters,
    trap::irq,
    world,
};
use core::cell::{Cell, RefCell};
use rustsbi::{Console, Fence as Rfence, HartMask, Ipi, Physical, Reset, RustSBI, SbiRet, Timer};
use sbi_spec::srst::{
    RESET_REASON_SYSTEM_FAILURE, RESET_TYPE_COLD_REBOOT, RESET_TYPE_SHUTDOWN,
    RESET_TYPE_WARM_REBOOT,
};

/// A call that is being served.
pub struct Call<'a> {
    pub hart: RefCell<&'a mut Hart>,
    pub frame: RefCell<&'a mut Frame>,
    returns: Cell<bool>,
}

/// The extensions that there are.
#[derive(RustSBI)]
struct Sbi<'a> {
    time: &'a Call<'a>,
    ipi: &'a Call<'a>,
    fence: &'a Call<'a>,
    hsm: &'a Call<'a>,
    reset: &'a Call<'a>,
    console: &'a Call<'a>,
    nacl: &'a Call<'a>,
}

impl Call<'_> {
    /// Notes that the function does not return to its caller.
    pub fn goes_elsewhere(&self) {
        self.returns.set(false);
    }
}

/// Serves an ECALL of the host.
pub fn call(hart: &mut Hart, frame: &mut Frame) {
    frame.mepc += 4;
    let parameters: [usize; 6] = core::array::from_fn(|i| frame.x[10 + i] as usize);
    let (function, extension) = (frame.x[16] as usize, frame.x[17] as usize);
    counters::count_call(extension, function);
    let call = Call {
        hart: RefCell::new(hart),
        frame: RefCell::new(frame),
        returns: Cell::new(true),
    };
    let all = Sbi {
        time: &call,
        ipi: &call,
        fence: &call,
        hsm: &call,
        reset: &call,
        console: &call,
        nacl: &call,
    };
    let answer = all.handle_ecall(extension, function, parameters);
    if call.returns.get() {
        frame.x[10] = answer.error as u64;
        frame.x[11] = answer.value as u64;
    }
}

impl Timer for Call<'_> {
    fn set_timer(&self, time: u64) {
        let hart = &mut self.hart.borrow_mut();
        if platform::has_csr(csr::VSTIMECMP) {
            return csr::write(csr::VSTIMECMP, time);
        }
        world::set_host_interrupt(hart, world::VSTIP, false);
        platform::get().set_mtimecmp(hart.id, time);
        csr::set_mie(1 << irq::MACHINE_TIMER);
    }
}

fn done(harts_exist: bool) -> SbiRet {
    if harts_exist {
        SbiRet::success(0)
    } else {
        SbiRet::invalid_param()
    }
}

impl Ipi for Call<'_> {
    fn send_ipi(&self, harts: HartMask) -> SbiRet {
        done(remote::interrupt(harts))
    }
}

impl Call<'_> {
    fn remote_fence(&self, harts: HartMask, kind: Kind, start: usize, size: usize) -> SbiRet {
        let fence = Fence {
            kind,
            start: start as u64,
            size: size as u64,
        };
        let this = self.hart.borrow().id;
        done(remote::fence(this, harts, fence))
    }

    /// The VMID that fences of VS-stage translations are about.
    fn vmid(&self) -> u64 {
        remote::vmid(&mut self.hart.borrow_mut())
    }
}

impl Rfence for Call<'_> {
    fn remote_fence_i(&self, harts: HartMask) -> SbiRet {
        self.remote_fence(harts, Kind::FenceI, 0, 0)
    }

    fn remote_sfence_vma(&self, harts: HartMask, start: usize, size: usize) -> SbiRet {
        self.remote_fence(harts, Kind::SfenceVma(None), start, size)
    }

    fn remote_sfence_vma_asid(
        &self,
        harts: HartMask,
        start: usize,
        size: usize,
        asid: usize,
    ) -> SbiRet {
        self.remote_fence(harts, Kind::SfenceVma(Some(asid as u64)), start, size)
    }

    fn remote_hfence_gvma_vmid(
        &self,
        harts: HartMask,
        start: usize,
        size: usize,
        vmid: usize,
    ) -> SbiRet {
        self.remote_fence(harts, Kind::HfenceGvma(Some(vmid as u64)), start, size)
    }

    fn remote_hfence_gvma(&self, harts: HartMask, start: usize, size: usize) -> SbiRet {
        self.remote_fence(harts, Kind::HfenceGvma(None), start, size)
    }

    fn remote_hfence_vvma_asid(
        &self,
        harts: HartMask,
        start: usize,
        size: usize,
        asid: usize,
    ) -> SbiRet {
        let kind = Kind::HfenceVvma(self.vmid(), Some(asid as u64));
        self.remote_fence(harts, kind, start, size)
    }

    fn remote_hfence_vvma(&self, harts: HartMask, start: usize, size: usize) -> SbiRet {
        self.remote_fence(harts, Kind::HfenceVvma(self.vmid(), None), start, size)
    }
}

/// A host that ends, or makes place for another, must not leave memory with the firmware.
fn tell_of_shmem() {
    let in_use = |hart: &usize| counters::shmem(*hart).is_some_and(|address| address != 0);
    let harts = (0..platform::get().harts).filter(in_use).count();
    platform::print(format_args!(
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

impl Console for Call<'_> {
    fn write(&self, bytes: Physical<&[u8]>) -> SbiRet {
        let address = bytes.phys_addr_lo();
        let count = bytes.num_bytes();
        if bytes.phys_addr_hi() != 0 || !platform::is_host_ram(address, count) {
            return SbiRet::invalid_param();
        }
        for byte in address..address + count {
            // SAFETY: It is RAM, and nothing of the firmware.
            platform::put(unsafe { (byte as *const u8).read_volatile() });
        }
        SbiRet::success(count)
    }

    fn read(&self, _: Physical<&mut [u8]>) -> SbiRet {
        SbiRet::success(0)
    }

    fn write_byte(&self, byte: u8) -> SbiRet {
        platform::put(byte);
        SbiRet::success(0)
    }
}
