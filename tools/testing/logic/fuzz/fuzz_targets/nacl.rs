// SPDX-License-Identifier: GPL-2.0

//! Fuzzes the encoding of nested HFENCE entries and the places in shared memory.

#![no_main]

use kvm_riscv_logic::abi::nacl::{
    csr_index,
    sret_x,
    CsrSlot,
    Hfence,
    HfenceEntry,
    HfenceSlot,
    PageRange,
    CSR_COUNT,
    DIRTY_BITMAP,
    SHMEM_SIZE, //
};
use libfuzzer_sys::fuzz_target;

/// Puts a fence together from the words of its entry, the way the other side reads them.
fn read_back(entry: HfenceEntry, pages: PageRange) -> Hfence {
    let vmid = (entry.config >> 16 & 0x3fff) as u16;
    let asid = entry.config as u16;

    match entry.config >> 56 & 0xf {
        0 => Hfence::Gvma(pages),
        1 => Hfence::GvmaAll,
        2 => Hfence::GvmaVmid(pages, vmid),
        3 => Hfence::GvmaVmidAll(vmid),
        4 => Hfence::Vvma(pages, vmid),
        5 => Hfence::VvmaAll(vmid),
        6 => Hfence::VvmaAsid(pages, vmid, asid),
        7 => Hfence::VvmaAsidAll(vmid, asid),
        kind => panic!("type {kind} does not exist"),
    }
}

fuzz_target!(|input: (u64, u64, u32, u16, u16, usize)| {
    let (addr, size, order, vmid, asid, index) = input;

    if let Some(slot) = CsrSlot::new(vmid) {
        assert!(slot.offset() + 8 <= SHMEM_SIZE);
        assert!((DIRTY_BITMAP..0x1000).contains(&slot.dirty_byte()));
        assert_eq!(slot.dirty_mask().count_ones(), 1);
    }
    assert!(csr_index(vmid) < CSR_COUNT);
    assert!(sret_x(index) < 0x100);
    if let Some(slot) = HfenceSlot::new(index) {
        assert!(slot.config() >= 0x800 && slot.page_count() + 8 <= DIRTY_BITMAP);
    }

    // Most numbers are no order.
    let order = if order & 1 == 0 { order } else { order % 70 };
    let Ok(pages) = PageRange::new(addr, size, order) else {
        let fits = u128::from(addr) + u128::from(size) <= 1 << 64;

        assert!(size == 0 || !fits || !(12..64).contains(&order));
        return;
    };

    for fence in [
        Hfence::Gvma(pages),
        Hfence::GvmaAll,
        Hfence::GvmaVmid(pages, vmid),
        Hfence::GvmaVmidAll(vmid),
        Hfence::Vvma(pages, vmid),
        Hfence::VvmaAll(vmid),
        Hfence::VvmaAsid(pages, vmid, asid),
        Hfence::VvmaAsidAll(vmid, asid),
    ] {
        let Ok(entry) = HfenceEntry::new(fence) else {
            assert!(vmid >> 14 != 0);
            continue;
        };

        // Pending is set, and what is reserved is not.
        assert_eq!(entry.config & 0xf080_ffff_c000_0000, 1 << 63);
        assert_eq!(read_back(entry, pages), fence);

        if entry.config >> 56 & 1 != 0 {
            assert_eq!(entry.config >> 48 & 0x7f, 0);
            assert_eq!((entry.page_number, entry.page_count), (0, 0));
        } else {
            let order = (entry.config >> 48 & 0x7f) + 12;
            let first = u128::from(entry.page_number) << order;
            let end = u128::from(entry.page_number + entry.page_count) << order;
            let page = 1 << order;

            // The pages cover the range, and without one of them they would not.
            assert!(first <= u128::from(addr));
            assert!(end >= u128::from(addr) + u128::from(size));
            assert!(first + page > u128::from(addr));
            assert!(end - page < u128::from(addr) + u128::from(size));
        }
    }
});
