// SPDX-License-Identifier: GPL-2.0

//! Schemes, levels and entries of G-stage page tables.
//!
//! Bit positions are those of the privileged specification, "Sv39 Page Table Entry", written out.

use kvm_riscv_logic::abi::pte::{
    Fetch,
    Level,
    MemoryType,
    Mode,
    Pte,
    Rights,
    Write,
    ROOT_PAGES, //
};

const V: u64 = 1 << 0;
const R: u64 = 1 << 1;
const W: u64 = 1 << 2;
const X: u64 = 1 << 3;
const U: u64 = 1 << 4;
const A: u64 = 1 << 6;
const D: u64 = 1 << 7;
const RSW: u64 = 3 << 8;

#[test]
fn schemes_are_those_of_the_specification() {
    let expected = [
        (Mode::Sv39x4, 8, 41, "Sv39x4"),
        (Mode::Sv48x4, 9, 50, "Sv48x4"),
        (Mode::Sv57x4, 10, 59, "Sv57x4"),
    ];
    for (mode, hgatp, bits, name) in expected {
        assert_eq!(mode.hgatp_mode(), hgatp);
        assert_eq!(mode.gpa_bits(), bits);
        assert_eq!(mode.name(), name);
    }
    assert!(Mode::Sv39x4 < Mode::Sv48x4 && Mode::Sv48x4 < Mode::Sv57x4);
}

#[test]
fn the_narrowest_scheme_that_is_wide_enough() {
    let of = Mode::for_gpa_bits;
    assert_eq!(of(0), Some(Mode::Sv39x4));
    assert_eq!(of(41), Some(Mode::Sv39x4));
    assert_eq!(of(42), Some(Mode::Sv48x4));
    assert_eq!(of(50), Some(Mode::Sv48x4));
    assert_eq!(of(51), Some(Mode::Sv57x4));
    assert_eq!(of(59), Some(Mode::Sv57x4));
    assert_eq!(of(60), None);
    assert_eq!(of(u64::MAX), None);
}

#[test]
fn a_scheme_has_as_many_levels_below_its_root_as_can_be_gone_down() {
    for (mode, expected) in [(Mode::Sv39x4, 2), (Mode::Sv48x4, 3), (Mode::Sv57x4, 4)] {
        let mut level = mode.root_level();
        assert_eq!(level.levels_below(), expected);
        for left in (0..expected).rev() {
            level = level.below().unwrap();
            assert_eq!(level.levels_below(), left);
        }
        assert_eq!(level, Level::PAGE);
    }
}

#[test]
fn an_entry_begins_at_a_multiple_of_its_size() {
    assert_eq!(Level::PAGE.first(0x1_2345), 0x1_2345);
    assert_eq!(Level::MEGAPAGE.first(0x1_2345), 0x1_2200);
    assert_eq!(Level::MEGAPAGE.first(0x1_2200), 0x1_2200);
    assert_eq!(Level::GIGAPAGE.first(0x5_ffff), 0x4_0000);
}

#[test]
fn levels_translate_4k_2m_and_1g() {
    let sizes = [Level::PAGE, Level::MEGAPAGE, Level::GIGAPAGE].map(Level::size);
    assert_eq!(sizes, [4 << 10, 2 << 20, 1 << 30]);
    assert_eq!(Level::MEGAPAGE.pages(), 512);
    assert_eq!(Level::MEGAPAGE.below(), Some(Level::PAGE));
    assert_eq!(Level::PAGE.below(), None);
}

#[test]
fn a_block_is_mapped_by_the_largest_leaf_that_it_holds() {
    for (frames, level) in [
        (1, Level::PAGE),
        (511, Level::PAGE),
        (512, Level::MEGAPAGE),
        (512 * 512 - 1, Level::MEGAPAGE),
        (512 * 512, Level::GIGAPAGE),
        (u64::MAX, Level::GIGAPAGE),
    ] {
        assert_eq!(Level::of_block(frames), level);
    }
}

#[test]
fn an_index_is_always_in_the_table() {
    let root = ROOT_PAGES * 512;
    for mode in Mode::ALL {
        let level = mode.root_level();
        let top = 1_u64 << mode.gpa_bits();
        assert_eq!(level.index(top - 1, root), root - 1);
        assert_eq!(level.index(top, root), 0);
        assert_eq!(level.index(u64::MAX, root), root - 1);
    }
    assert_eq!(Level::PAGE.index(0x1f_f000, 512), 0x1ff);
    assert_eq!(Level::PAGE.index(0x20_0000, 512), 0);
    assert_eq!(Level::MEGAPAGE.index(0x20_0000, 512), 1);
}

/// A leaf for data.
fn leaf(pfn: u64, write: Write) -> Pte {
    let fetch = Fetch::Traps;
    Pte::leaf(pfn, Rights { write, fetch })
}

#[test]
fn a_leaf_has_all_that_a_hart_needs() {
    let pfn = 0xfff_ffff_ffff;
    let common = V | R | U | A | D;
    for (write, w) in [(Write::Denied, 0), (Write::Logged, 0), (Write::Allowed, W)] {
        for (fetch, x) in [(Fetch::Traps, 0), (Fetch::Allowed, X)] {
            let pte = Pte::leaf(pfn, Rights { write, fetch });
            assert_eq!(pte.into_raw() & !RSW, pfn << 10 | common | w | x);
            assert!(pte.is_leaf() && !pte.is_empty() && pte.is_young());
            assert_eq!(pte.pfn(), pfn);
            assert_eq!(pte.is_writable(), w != 0);
        }
    }
    // What does not fit stays out of the reserved bits.
    assert_eq!(leaf(u64::MAX, Write::Denied).into_raw() >> 54, 0);
}

#[test]
fn a_leaf_has_the_type_that_it_is_given() {
    let plain = leaf(0xfff_ffff_ffff, Write::Allowed);
    assert_eq!(plain.memory_type(), MemoryType::Platform);
    // Privileged specification, "Svpbmt": bits 62 and 61 are PMA, NC or IO.
    for (memory, bits) in [
        (MemoryType::Platform, 0),
        (MemoryType::Uncached, 1 << 61),
        (MemoryType::Device, 1 << 62),
    ] {
        let typed = plain.with_memory_type(memory);
        assert_eq!(typed.into_raw(), plain.into_raw() | bits);
        assert_eq!(typed.memory_type(), memory);
        assert_eq!(typed.with_memory_type(MemoryType::Platform), plain);
        assert_eq!(typed.pfn(), plain.pfn());
        assert!(typed.is_leaf());
        for changed in [
            typed.aged(),
            typed.write_protected(),
            typed.made_executable(),
        ] {
            assert_eq!(changed.memory_type(), memory);
        }
        let part = leaf(0x4_0000, Write::Allowed).with_memory_type(memory);
        assert_eq!(part.part(511, Level::PAGE).memory_type(), memory);
    }
    let reserved = Pte::from_raw(plain.into_raw() | 3 << 61);
    assert_eq!(reserved.memory_type(), MemoryType::Device);
}

#[test]
fn leaves_of_another_frame_or_type_do_not_map_the_same() {
    let one = leaf(1, Write::Denied);
    assert!(one.maps_same(leaf(1, Write::Allowed).aged()));
    assert!(!one.maps_same(leaf(0, Write::Denied)));
    assert!(!one.maps_same(leaf(1 | 1 << 43, Write::Denied)));
    for memory in [MemoryType::Uncached, MemoryType::Device] {
        assert!(!one.maps_same(one.with_memory_type(memory)));
    }
}

#[test]
fn what_has_been_fetched_stays_so() {
    let (write, fetch) = (Write::Allowed, Fetch::Allowed);
    let code = Pte::leaf(1, Rights { write, fetch });
    for other in [Write::Denied, Write::Logged, Write::Allowed] {
        assert_eq!(code.union(leaf(1, other)).into_raw() & X, X);
        assert_eq!(leaf(1, other).union(code).into_raw() & X, X);
    }
    for changed in [code.aged(), code.write_protected()] {
        assert_eq!(changed.into_raw() & X, X);
    }
    assert_eq!(leaf(1, Write::Allowed).made_executable(), code);
    assert_eq!(leaf(1, Write::Allowed).aged().made_executable(), code);
    assert_eq!(code.made_executable(), code);
}

#[test]
fn a_table_is_no_leaf() {
    let pte = Pte::table(0x8020_3000);
    assert_eq!(pte.into_raw(), 0x80203 << 10 | V);
    assert!(!pte.is_leaf() && !pte.is_empty());
    assert_eq!(pte.phys(), 0x8020_3000);
    assert!(Pte::EMPTY.is_empty() && !Pte::EMPTY.is_leaf());
}

#[test]
fn only_what_the_host_allows_is_made_writable() {
    // The page of zeros, say: every process of the host has it.
    assert_eq!(leaf(1, Write::Denied).made_writable(), None);

    let logged = leaf(1, Write::Logged);
    let writable = leaf(1, Write::Allowed);
    assert_eq!(logged.made_writable(), Some(writable));
    assert_eq!(writable.write_protected(), logged);
    assert_eq!(writable.write_protected().made_writable(), Some(writable));
    assert_eq!(logged.aged().made_writable(), Some(writable));
    assert_eq!(writable.made_writable(), Some(writable));
    assert_eq!(
        leaf(1, Write::Denied).write_protected().made_writable(),
        None
    );
}

#[test]
fn aging_changes_nothing_else() {
    let pte = leaf(7, Write::Allowed);
    assert!(!pte.aged().is_young());
    assert_eq!(pte.aged().into_raw(), pte.into_raw() & !A);
    assert_eq!(pte.aged().union(pte), pte);
}

#[test]
fn the_parts_of_a_leaf_map_what_it_maps() {
    for level in [Level::MEGAPAGE, Level::GIGAPAGE] {
        let below = level.below().unwrap();
        let large = leaf(0x4_0000, Write::Allowed);
        for index in [0, 1, 511] {
            let part = large.part(index, below);
            assert_eq!(part.pfn(), 0x4_0000 + index as u64 * below.pages());
            assert_eq!(part.into_raw() & 0x3ff, large.into_raw() & 0x3ff);
        }
    }
}
