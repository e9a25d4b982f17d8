// SPDX-License-Identifier: GPL-2.0

//! Tests of the nested acceleration extension's encodings.

use std::collections::BTreeSet;

use kvm_riscv_logic::abi::{
    nacl::{
        csr_index,
        sret_x,
        CsrSlot,
        Feature,
        Hfence,
        HfenceEntry,
        HfenceError,
        HfenceSlot,
        NaclFn,
        PageRange,
        AUTOSWAP,
        AUTOSWAP_FLAGS,
        AUTOSWAP_FLAG_HSTATUS,
        AUTOSWAP_HSTATUS,
        AUTOSWAP_SIZE,
        CSR_COUNT,
        CSR_SPACE,
        DIRTY_BITMAP,
        DIRTY_BITMAP_SIZE,
        EID,
        HFENCE_COUNT,
        HFENCE_PENDING,
        HFENCE_QUEUE,
        SHMEM_ALIGN,
        SHMEM_SIZE,
        SRET_CONTEXT,
        SRET_CONTEXT_SIZE,
        SYNC_ALL, //
    },
    sbi::Standard, //
};

#[test]
fn numbers() {
    assert_eq!(EID, Standard::Nacl.raw());
    let functions = [
        NaclFn::ProbeFeature,
        NaclFn::SetShmem,
        NaclFn::SyncCsr,
        NaclFn::SyncHfence,
        NaclFn::SyncSret,
    ];
    assert_eq!(functions.map(|function| function as u64), [0, 1, 2, 3, 4]);
    let features = [
        Feature::SyncCsr,
        Feature::SyncHfence,
        Feature::SyncSret,
        Feature::AutoswapCsr,
    ];
    assert_eq!(features.map(|feature| feature as u32), [0, 1, 2, 3]);
    assert_eq!(SYNC_ALL, u64::MAX);
}

/// The offset ranges as the specification has them.
#[test]
fn areas_of_the_shared_memory() {
    assert_eq!(
        (SRET_CONTEXT, SRET_CONTEXT + SRET_CONTEXT_SIZE - 1),
        (0x000, 0x1ff)
    );
    assert_eq!((AUTOSWAP, AUTOSWAP + AUTOSWAP_SIZE - 1), (0x200, 0x27f));
    assert_eq!((AUTOSWAP_FLAGS, AUTOSWAP_HSTATUS), (0x200, 0x208));
    assert_eq!(AUTOSWAP_FLAG_HSTATUS, 1);
    assert_eq!(
        (HFENCE_QUEUE, HFENCE_QUEUE + HFENCE_COUNT * 32 - 1),
        (0x800, 0xf7f)
    );
    assert_eq!(
        (DIRTY_BITMAP, DIRTY_BITMAP + DIRTY_BITMAP_SIZE - 1),
        (0xf80, 0xfff)
    );
    assert_eq!((CSR_SPACE, CSR_SPACE + CSR_COUNT * 8), (0x1000, SHMEM_SIZE));
    assert_eq!((SHMEM_SIZE, SHMEM_ALIGN), (0x3000, 0x1000));
}

#[test]
fn registers_of_the_sret_context() {
    for x in 0..32 {
        assert_eq!(sret_x(x), 8 * x);
    }
    for x in [32, 1000, usize::MAX] {
        assert!(sret_x(x) <= SRET_CONTEXT_SIZE - 8);
    }
}

/// The table of index ranges, by the first and the last CSR of each.
#[test]
fn csr_indices_as_in_the_table() {
    for (csr, index) in [
        (0x200, 0x000),
        (0x2ff, 0x0ff),
        (0x600, 0x100),
        (0x67f, 0x17f),
        (0x680, 0x180),
        (0x6bf, 0x1bf),
        (0x6c0, 0x1c0),
        (0x6ff, 0x1ff),
        (0xa00, 0x200),
        (0xa7f, 0x27f),
        (0xa80, 0x280),
        (0xabf, 0x2bf),
        (0xac0, 0x2c0),
        (0xaff, 0x2ff),
        (0xe00, 0x300),
        (0xe7f, 0x37f),
        (0xe80, 0x380),
        (0xebf, 0x3bf),
        (0xec0, 0x3c0),
        (0xeff, 0x3ff),
    ] {
        assert_eq!(csr_index(csr), index, "{csr:x}");
    }
}

#[test]
fn every_csr_has_a_slot_of_its_own_or_none() {
    let mut offsets = BTreeSet::new();
    let mut bits = BTreeSet::new();

    for csr in 0..=u16::MAX {
        assert!(csr_index(csr) < CSR_COUNT);
        let Some(slot) = CsrSlot::new(csr) else {
            assert!(csr >= 0x1000 || csr >> 8 & 0x3 != 2, "{csr:x}");
            continue;
        };

        assert!(csr < 0x1000 && csr >> 8 & 0x3 == 2, "{csr:x}");
        let index = csr_index(csr);
        assert_eq!(slot.offset(), CSR_SPACE + 8 * index);
        assert_eq!(slot.dirty_byte(), DIRTY_BITMAP + index / 8);
        assert_eq!(slot.dirty_mask(), 1 << (index % 8));
        assert!(offsets.insert(slot.offset()));
        assert!(bits.insert((slot.dirty_byte(), slot.dirty_mask())));
    }
    assert_eq!(offsets.len(), CSR_COUNT);
    assert_eq!(bits.len(), CSR_COUNT);
}

#[test]
fn hfence_slots() {
    for index in 0..HFENCE_COUNT {
        let slot = HfenceSlot::new(index).unwrap();
        let first = 0x800 + 32 * index;

        assert_eq!(slot.config(), first);
        assert_eq!(slot.page_number(), first + 8);
        assert_eq!(slot.page_count(), first + 24);
        assert!(slot.page_count() + 8 <= DIRTY_BITMAP);
    }
    for index in [60, 61, 255, 256, usize::MAX] {
        assert_eq!(HfenceSlot::new(index), None);
    }
}

/// The fields of a config word, cut out as the specification numbers the bits.
#[derive(Debug, PartialEq)]
struct Config {
    pending: u64,
    kind: u64,
    order: u64,
    vmid: u64,
    asid: u64,
    reserved: u64,
}

impl Config {
    fn of(config: u64) -> Self {
        let bits = |high: u32, low: u32| config << (63 - high) >> (63 - high + low);

        Self {
            pending: bits(63, 63),
            kind: bits(59, 56),
            order: bits(54, 48),
            vmid: bits(29, 16),
            asid: bits(15, 0),
            reserved: bits(62, 60) | bits(55, 55) | bits(47, 30),
        }
    }
}

#[test]
fn fences_encode_as_their_type_has_it() {
    let pages = PageRange::new(0x8020_0000, 0x40_0000, 21).unwrap();
    let (vmid, asid) = (0x2bcd, 0xfedc);

    for (fence, kind, order, vmid, asid) in [
        (Hfence::Gvma(pages), 0, 9, 0, 0),
        (Hfence::GvmaAll, 1, 0, 0, 0),
        (Hfence::GvmaVmid(pages, vmid), 2, 9, vmid, 0),
        (Hfence::GvmaVmidAll(vmid), 3, 0, vmid, 0),
        (Hfence::Vvma(pages, vmid), 4, 9, vmid, 0),
        (Hfence::VvmaAll(vmid), 5, 0, vmid, 0),
        (Hfence::VvmaAsid(pages, vmid, asid), 6, 9, vmid, asid),
        (Hfence::VvmaAsidAll(vmid, asid), 7, 0, vmid, asid),
    ] {
        let entry = HfenceEntry::new(fence).unwrap();
        let expected = Config {
            pending: 1,
            kind,
            order,
            vmid: u64::from(vmid),
            asid: u64::from(asid),
            reserved: 0,
        };

        assert_eq!(Config::of(entry.config), expected, "{fence:?}");
        assert_ne!(entry.config & HFENCE_PENDING, 0);
        // The types with a range are the even ones.
        let range = if kind % 2 == 0 { (0x401, 2) } else { (0, 0) };
        assert_eq!((entry.page_number, entry.page_count), range, "{fence:?}");
    }
}

#[test]
fn vmids_are_14_bits_wide() {
    let pages = PageRange::new(0, 0x1000, 12).unwrap();
    let fences = |vmid| {
        [
            Hfence::GvmaVmid(pages, vmid),
            Hfence::GvmaVmidAll(vmid),
            Hfence::Vvma(pages, vmid),
            Hfence::VvmaAll(vmid),
            Hfence::VvmaAsid(pages, vmid, 0),
            Hfence::VvmaAsidAll(vmid, 0),
        ]
    };

    for vmid in [0, 1, 0x3fff] {
        for fence in fences(vmid) {
            let entry = HfenceEntry::new(fence).unwrap();

            assert_eq!(Config::of(entry.config).vmid, u64::from(vmid));
        }
    }
    for vmid in [0x4000, 0x8001, u16::MAX] {
        for fence in fences(vmid) {
            assert_eq!(HfenceEntry::new(fence), Err(HfenceError::Vmid));
        }
    }
}

#[test]
fn a_page_range_covers_all_of_the_addresses_and_no_page_more() {
    let page = 1 << 12;
    let ends = [
        0,
        1,
        page - 1,
        page,
        page + 1,
        3 * page,
        u64::MAX - page,
        u64::MAX - 1,
        u64::MAX,
    ];

    for order in 12..=63 {
        for addr in ends {
            for size in ends {
                let last = u128::from(addr) + u128::from(size) - u128::from(size != 0);
                let range = PageRange::new(addr, size, order);

                if size == 0 {
                    assert_eq!(range, Err(HfenceError::Empty));
                    continue;
                }
                if last > u128::from(u64::MAX) {
                    assert_eq!(range, Err(HfenceError::Overflow));
                    continue;
                }
                let entry = HfenceEntry::new(Hfence::Gvma(range.unwrap())).unwrap();
                let first_page = u128::from(entry.page_number);
                let end_page = first_page + u128::from(entry.page_count);

                assert!(entry.page_count > 0);
                assert_eq!(first_page, u128::from(addr) >> order);
                assert_eq!(end_page - 1, last >> order);
                assert_eq!(Config::of(entry.config).order, u64::from(order) - 12);
            }
        }
    }
}

#[test]
fn pages_have_a_size_that_an_address_can_have() {
    for order in [0, 1, 11, 64, 65, 139, 140, u32::MAX] {
        assert_eq!(PageRange::new(0, 1, order), Err(HfenceError::Order));
    }
}
