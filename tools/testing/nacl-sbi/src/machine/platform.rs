// SPDX-License-Identifier: GPL-2.0

//! The devices of QEMU's virt machine, as its device tree describes them, and the features that the
//! kernel's command line asks for.

use super::{
    console,
    csr::{self, h_index},
    fields::mseccfg::SSEED,
    MAX_HARTS,
};
use core::ops::Range;
use fdt::Fdt;
use sbi_spec::nacl::feature_id;
use spin::Once;

/// The memory of the firmware: the start of RAM.
pub const FIRMWARE: Range<usize> = 0x8000_0000..0x8020_0000;
/// The address of the test device, used until the device tree has been read.
const TEST_DEVICE: usize = 0x10_0000;
/// The word of the kernel's command line that lists the features. The kernel ignores it.
const SELECTION: &str = "nacl_sbi.features=";

/// The properties of the machine.
pub struct Platform {
    pub harts: usize,
    ram: Range<usize>,
    clint: usize,
    test_device: usize,
    /// Whether the device tree promises the host that the hart updates A and D bits.
    pub updates_ad: bool,
    features: u64,
    csrs: [u64; 16],
}

/// Commands to the test device.
#[derive(Clone, Copy)]
#[repr(u32)]
pub enum End {
    /// Ends QEMU with status one.
    Fail = 1 << 16 | 0x3333,
    Pass = 0x5555,
    Reset = 0x7777,
}

static PLATFORM: Once<Platform> = Once::new();
/// Returns the properties of the machine. Panics before `init()`.
pub fn get() -> &'static Platform {
    PLATFORM.get().expect("asked before it is known")
}

impl Platform {
    /// Raises or clears the software interrupt of a hart.
    pub fn set_msip(&self, hart: usize, on: bool) {
        let register = (self.clint + 4 * hart) as *mut u32;
        // SAFETY: The device tree says that the CLINT is there, and that is its layout.
        unsafe { register.write_volatile(on.into()) };
    }

    /// Sets the time of the next timer interrupt of a hart.
    pub fn set_mtimecmp(&self, hart: usize, time: u64) {
        let register = (self.clint + 0x4000 + 8 * hart) as *mut u64;
        // SAFETY: As in `set_msip()`.
        unsafe { register.write_volatile(time) };
    }

    /// Ends QEMU or resets the machine.
    pub fn end(&self, command: End) -> ! {
        // SAFETY: The device tree says that it is there.
        unsafe { end_by(self.test_device, command) }
    }
}

/// Gives the test device a command, and waits: QEMU ends after a while, and a second command would
/// replace the first.
///
/// # Safety
///
/// `test_device` must be the address of the test device.
unsafe fn end_by(test_device: usize, command: End) -> ! {
    // SAFETY: By the requirement.
    unsafe { (test_device as *mut u32).write_volatile(command as u32) };
    loop {
        riscv::asm::wfi();
    }
}

/// Reads the device tree, and removes the firmware's memory from it.
///
/// # Safety
///
/// `address` must be the address of a device tree that nobody else uses.
pub unsafe fn init(address: usize) {
    // SAFETY: By the requirement.
    let fdt = unsafe { Fdt::from_ptr(address as *const u8) }.expect("a device tree");
    let device = |compatible: &str| {
        let node = fdt.find_compatible(&[compatible]);
        let region = node.and_then(|node| node.reg()?.next());
        region.map_or_else(
            || panic!("no {compatible} in the device tree"),
            |region| region.starting_address as usize,
        )
    };
    // SAFETY: The device tree says that it is there.
    unsafe { console::init(device("ns16550a")) };

    let harts = fdt.cpus().count();
    if harts > MAX_HARTS {
        panic!("{harts} harts are more than the {MAX_HARTS} that there may be");
    }
    let ram = fdt.memory().regions().next().expect("memory");
    let start = ram.starting_address as usize;
    let size = ram.size.expect("a size of memory");
    if start != FIRMWARE.start || size <= FIRMWARE.len() {
        panic!("RAM is at {start:#x}, {size:#x} bytes of it");
    }
    let ram = FIRMWARE.end..start + size;
    // SAFETY: By the requirement.
    unsafe { shrink_memory(&fdt, &ram) };

    let has_extension = |wanted: &str| {
        let cpu = fdt.cpus().next().expect("a CPU");
        let list = cpu.property("riscv,isa-extensions");
        list.is_some_and(|list| {
            let mut names = list.value.split(|&byte| byte == 0);
            names.any(|name| name == wanted.as_bytes())
        })
    };
    let updates_ad = has_extension("svadu") && !has_extension("svade");
    let features = selection(fdt.chosen().bootargs().unwrap_or(""));
    PLATFORM.call_once(|| Platform {
        harts,
        ram,
        clint: device("sifive,clint0"),
        test_device: device("sifive,test0"),
        updates_ad,
        features,
        csrs: find_csrs(),
    });
}

/// Writes to the device tree that memory is `ram`, without the firmware's part.
///
/// # Safety
///
/// Nobody else may use the device tree.
unsafe fn shrink_memory(fdt: &Fdt<'_>, ram: &Range<usize>) {
    let mut memory = fdt
        .all_nodes()
        .filter(|node| node.name.starts_with("memory@"));
    let reg = memory
        .next()
        .and_then(|node| node.property("reg"))
        .expect("a register of memory")
        .value;
    if reg.len() != 16 {
        panic!("memory has more than one region");
    }
    let place = reg.as_ptr().cast_mut();
    let words = [ram.start, ram.len()].map(|word| (word as u64).to_be_bytes());
    for (n, byte) in words.as_flattened().iter().enumerate() {
        // SAFETY: The byte is within the property, and by the requirement nobody else uses it.
        unsafe { place.add(n).write_volatile(*byte) };
    }
}

/// Returns the features that the command line asks for, one bit each.
fn selection(command_line: &str) -> u64 {
    let mut words = command_line.split_ascii_whitespace();
    let Some(names) = words.find_map(|word| word.strip_prefix(SELECTION)) else {
        panic!("nobody asks for features: give QEMU -append {SELECTION}all");
    };
    names.split('+').fold(0, |features, name| {
        features
            | match name {
                "none" => 0,
                "all" => 0xf,
                "sync_csr" => 1 << feature_id::SYNC_CSR,
                "sync_hfence" => 1 << feature_id::SYNC_HFENCE,
                "sync_sret" => 1 << feature_id::SYNC_SRET,
                "autoswap_csr" => 1 << feature_id::AUTOSWAP_CSR,
                _ => panic!("{SELECTION} has `{name}`, which is no feature"),
            }
    })
}

/// Returns a bit for each H and VS CSR, by its place in the CSR space: whether the hart has it.
fn find_csrs() -> [u64; 16] {
    let mut found = [0; 16];
    let optional = [
        csr::VSTIMECMP,
        csr::VSISELECT,
        csr::HSTATEEN0,
        csr::HVIEN,
        csr::HVICTL,
        csr::HVIPRIO1,
        csr::HVIPRIO2,
    ];
    for index in 0..1024 {
        found[index / 64] |= 1 << (index % 64);
    }
    for csr in optional {
        if !csr::exists(csr) {
            let index = h_index(csr);
            found[index / 64] &= !(1 << (index % 64));
        }
    }
    found
}

/// Returns whether the hart has a CSR: one that depends on an extension, or any other H or VS CSR.
pub fn has_csr(csr: u16) -> bool {
    let csr = match csr {
        csr::STIMECMP => csr::VSTIMECMP,
        csr::HSTATEEN1 | csr::HSTATEEN2 | csr::HSTATEEN3 => csr::HSTATEEN0,
        csr::SEED => return csr::exists(csr::MSECCFG) && csr::read(csr::MSECCFG) & SSEED != 0,
        _ => csr,
    };
    let index = h_index(csr);
    get().csrs[index / 64] & 1 << (index % 64) != 0
}

/// Returns those CSRs of a list that the hart has, with their places in the list.
pub fn present(list: &'static [u16]) -> impl Iterator<Item = (usize, u16)> {
    let there = |&(_, csr): &(usize, u16)| has_csr(csr);
    list.iter().copied().enumerate().filter(there)
}

/// Returns the features of nested acceleration that this firmware offers, one bit each.
pub fn features() -> u64 {
    get().features
}

/// Returns whether this firmware offers a feature of nested acceleration.
pub fn has_feature(feature: usize) -> bool {
    feature < 4 && features() & 1 << feature != 0
}

/// Returns whether `size` bytes from `address` on are RAM of the host.
pub fn is_host_ram(address: usize, size: usize) -> bool {
    let ram = &get().ram;
    let end = address.checked_add(size);
    address >= ram.start && end.is_some_and(|end| end <= ram.end)
}

/// Reads a byte of the host's RAM; [`None`] for any other address.
pub fn host_byte(address: usize) -> Option<u8> {
    // SAFETY: The address is in the host's RAM, which holds nothing of the firmware.
    is_host_ram(address, 1).then(|| unsafe { (address as *const u8).read_volatile() })
}

/// Ends QEMU with a status other than zero.
pub fn fail() -> ! {
    match PLATFORM.get() {
        Some(platform) => platform.end(End::Fail),
        // SAFETY: QEMU's virt machine always has the test device there.
        None => unsafe { end_by(TEST_DEVICE, End::Fail) },
    }
}
