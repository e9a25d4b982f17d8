// SPDX-License-Identifier: GPL-2.0

//! Tests of the configuration of an AIA and of its addresses.

use kvm_riscv_logic::{
    abi::aia::{
        ConfigAttr,
        GuestIndex,
        HartIndex,
        Identity, //
    },
    aia::layout::{
        Config,
        Error,
        Host,
        Layout,
        Mode,
        Place, //
    }, //
};
use ConfigAttr::*;

fn host(last_id: u32, guest_files: u32) -> Host {
    Host {
        last_id: Identity::new(last_id).unwrap(),
        guest_files,
    }
}

fn config(attrs: &[(ConfigAttr, u32)]) -> Config {
    let mut config = Config::new(host(2047, 1));
    for (attr, value) in attrs {
        config.set(*attr, *value).unwrap();
    }
    config
}

fn place(hart: u32, guest: u32, offset: u64) -> Option<Place> {
    Some(Place {
        hart: HartIndex(hart),
        guest: GuestIndex(guest),
        offset,
    })
}

fn address(layout: &Layout, hart: u32, guest: u32) -> Option<u64> {
    layout.address(HartIndex(hart), GuestIndex(guest))
}

fn some(addrs: &[u64]) -> Vec<Option<u64>> {
    addrs.iter().copied().map(Some).collect()
}

#[test]
fn a_vm_starts_with_what_the_host_has() {
    let config = Config::new(host(255, 3));
    let attrs = [
        Mode, Ids, Sources, GroupBits, GroupShift, HartBits, GuestBits,
    ];
    assert_eq!(attrs.map(|attr| config.get(attr)), [2, 255, 0, 0, 24, 0, 0]);
    assert_eq!(config.mode(), Mode::Automatic);
    assert_eq!((config.last_id().number(), config.sources()), (255, 0));
    assert_eq!(config.aplic_addr(), None);
    assert_eq!(Config::new(host(63, 0)).mode(), Mode::Emulated);
}

/// The last value that is refused or accepted on each side of each limit.
#[test]
fn limits_are_those_of_the_uapi() {
    for (attr, good, bad, error) in [
        (Mode, &[0, 1, 2][..], &[3, !0][..], Error::Mode),
        (
            Ids,
            &[63, 127, 255, 1983, 2047],
            &[0, 1, 62, 64, 126, 128, 2046, 2048, 2111, 1 << 31 | 63, !0],
            Error::Ids,
        ),
        (
            Sources,
            &[0, 1, 96, 1023],
            &[1024, 2047, !0],
            Error::Sources,
        ),
        (GroupBits, &[0, 1, 7], &[8, 64, !0], Error::GroupBits),
        (
            GroupShift,
            &[24, 25, 55],
            &[0, 23, 56, 64, !0],
            Error::GroupShift,
        ),
        (HartBits, &[0, 1, 15], &[16, 64, !0], Error::HartBits),
        (GuestBits, &[0, 1, 7], &[8, 64, !0], Error::GuestBits),
    ] {
        let mut config = config(&[]);
        for value in good {
            assert_eq!(config.set(attr, *value), Ok(()));
            assert_eq!(config.get(attr), *value);
            for value in bad {
                let before = config.get(attr);
                assert_eq!(config.set(attr, *value), Err(error));
                assert_eq!(config.get(attr), before);
            }
        }
    }
}

#[test]
fn the_host_limits_what_a_vm_can_have() {
    let mut config = Config::new(host(255, 0));
    assert_eq!(config.set(Ids, 255), Ok(()));
    assert_eq!(config.set(Ids, 319), Err(Error::Ids));
    assert_eq!(config.set(Sources, 255), Ok(()));
    assert_eq!(config.set(Sources, 256), Err(Error::Sources));
    assert_eq!(config.set(Mode, 0), Ok(()));
    assert_eq!(config.set(Mode, 1), Err(Error::Mode));
    assert_eq!(config.set(Mode, 2), Err(Error::Mode));
}

#[test]
fn each_mode_has_its_number() {
    for (value, mode) in [
        (0, Mode::Emulated),
        (1, Mode::Accelerated),
        (2, Mode::Automatic),
    ] {
        assert_eq!(config(&[(ConfigAttr::Mode, value)]).mode(), mode);
    }
}

#[test]
fn addresses_are_those_of_pages() {
    let mut config = config(&[]);
    for addr in [0, 0x1000, 0x0d00_0000, !0xfff] {
        assert_eq!(config.set_aplic_addr(addr), Ok(()));
        assert_eq!(config.aplic_addr(), Some(addr));
        assert_eq!(Config::check_imsic_addr(addr), Ok(()));
        for offset in [1, 4, 0x800, 0xfff] {
            assert_eq!(config.set_aplic_addr(addr + offset), Err(Error::Misaligned));
            assert_eq!(config.aplic_addr(), Some(addr));
            let checked = Config::check_imsic_addr(addr + offset);
            assert_eq!(checked, Err(Error::Misaligned));
        }
    }
}

#[test]
fn there_are_at_least_as_many_identities_as_sources() {
    for (ids, sources, fits) in [(63, 63, true), (63, 64, false), (127, 64, true)] {
        let mut config = config(&[(Ids, ids), (Sources, sources)]);
        config.set_aplic_addr(0).unwrap();
        assert_eq!(config.layout([]).err(), (!fits).then_some(Error::FewIds));
        assert_eq!(config.sources(), sources);
        assert_eq!(config.last_id().number(), ids);
    }
}

#[test]
fn sources_need_an_aplic() {
    let mut config = config(&[(Sources, 1)]);
    assert_eq!(config.layout([]).err(), Some(Error::NoAplic));
    config.set_aplic_addr(0x1000_0000).unwrap();
    assert_eq!(config.layout([]).unwrap().aplic_addr(), Some(0x1000_0000));
    // Without sources, there is none, whether it has an address or not.
    config.set(Sources, 0).unwrap();
    let layout = config.layout([]).unwrap();
    assert_eq!(layout.aplic_addr(), None);
    assert_eq!(layout.aplic_offset(0x1000_0000), None);
}

#[test]
fn an_aplic_has_16_kib() {
    let mut config = config(&[(Sources, 96)]);
    for addr in [0x1000, 0x0d00_0000, !0xfff] {
        config.set_aplic_addr(addr).unwrap();
        let layout = config.layout([]).unwrap();
        assert_eq!(layout.aplic_offset(addr), Some(0));
        assert_eq!(layout.aplic_offset(addr + 0xfff), Some(0xfff));
        assert_eq!(layout.aplic_offset(addr - 1), None);
        // Not around the end of the address space.
        assert_eq!(layout.aplic_offset(0), None);
        if let Some(end) = addr.checked_add(0x4000) {
            assert_eq!(layout.aplic_offset(end - 1), Some(0x3fff));
            assert_eq!(layout.aplic_offset(end), None);
        }
    }
}

#[test]
fn the_group_number_is_above_the_hart_number() {
    for (shift, hart, guest, fits) in [
        (24, 12, 0, true),
        (24, 13, 0, false),
        (24, 9, 3, true),
        (24, 9, 4, false),
        (34, 15, 7, true),
        (33, 15, 7, false),
    ] {
        let mut config = config(&[
            (GroupBits, 1),
            (GroupShift, shift),
            (HartBits, hart),
            (GuestBits, guest),
        ]);
        assert_eq!(config.layout([]).err(), (!fits).then_some(Error::Overlap));
        // Without groups, their place does not matter.
        config.set(GroupBits, 0).unwrap();
        assert!(config.layout([]).is_ok());
    }
}

#[test]
fn each_vcpu_needs_an_address() {
    let config = config(&[(HartBits, 1)]);
    assert!(config.layout([]).is_ok());
    assert!(config.layout(some(&[0x1000, 0])).is_ok());
    for addrs in [&[None][..], &[Some(0), None], &[None, Some(0)]] {
        let found = config.layout(addrs.iter().copied()).err();
        assert_eq!(found, Some(Error::NoImsic));
    }
}

#[test]
fn addresses_differ_in_the_hart_index_only() {
    let config = config(&[
        (GroupBits, 2),
        (GroupShift, 30),
        (HartBits, 3),
        (GuestBits, 1),
    ]);
    let base = 0x2800_0000;
    for (addr, error) in [
        (0, None),
        (0x2000, None),
        (0xe000, None),
        (3 << 30, None),
        (3 << 30 | 0xe000, None),
        (0x1000, Some(Error::GuestPage)),
        (0x800, Some(Error::Misaligned)),
        (1 << 16, Some(Error::Base)),
        (1 << 29, Some(Error::Base)),
        (1 << 32, Some(Error::Base)),
        (1 << 63, Some(Error::Base)),
    ] {
        let found = config.layout(some(&[base, base ^ addr])).err();
        assert_eq!(found, error, "{addr:#x}");
    }
}

#[test]
fn an_address_means_a_hart_and_a_file() {
    let config = config(&[
        (GroupBits, 2),
        (GroupShift, 30),
        (HartBits, 3),
        (GuestBits, 1),
    ]);
    let base = 0x2800_0000;
    let layout = config.layout(some(&[base])).unwrap();
    for (addr, expected) in [
        (0, place(0, 0, 0)),
        (4, place(0, 0, 4)),
        (0xfff, place(0, 0, 0xfff)),
        (0x1000, place(0, 1, 0)),
        (0x2000, place(1, 0, 0)),
        (0xf004, place(7, 1, 4)),
        (1 << 30, place(8, 0, 0)),
        (3 << 30 | 0xe000, place(31, 0, 0)),
        (0x1_0000, None),
        (1 << 29, None),
        (1 << 32, None),
        (1 << 63, None),
    ] {
        assert_eq!(layout.locate(base ^ addr), expected, "{addr:#x}");
        if let Some(place) = expected {
            let page = Some((base ^ addr) & !0xfff);
            assert_eq!(layout.address(place.hart, place.guest), page);
        }
    }
    assert_eq!(address(&layout, 31, 1), Some(base | 3 << 30 | 0xf000));
    for (hart, guest) in [(32, 0), (0, 2), (!0, 0), (0, !0), (1 << 20, 0)] {
        assert_eq!(address(&layout, hart, guest), None);
    }
}

#[test]
fn vcpus_may_share_an_address() {
    let layout = config(&[]).layout(some(&[0x5000, 0x5000])).unwrap();
    assert_eq!(layout.locate(0x5004), place(0, 0, 4));
    assert_eq!(layout.locate(0x6000), None);
    assert_eq!(address(&layout, 0, 0), Some(0x5000));
    assert_eq!(address(&layout, 1, 0), None);
    assert_eq!(address(&layout, 0, 1), None);
}

#[test]
fn without_vcpus_no_address_means_anything() {
    let layout = config(&[(HartBits, 15)]).layout([]).unwrap();
    assert_eq!(layout.locate(0), None);
    assert_eq!(address(&layout, 0, 0), None);
}

/// Each combination of sizes: every index has an address of its own, which leads back to it.
#[test]
fn indices_and_addresses_lead_to_each_other() {
    for group_bits in 0..8 {
        for group_shift in [24, 34, 55] {
            for hart_bits in 0..16 {
                for guest_bits in 0..8 {
                    let config = config(&[
                        (GroupBits, group_bits),
                        (GroupShift, group_shift),
                        (HartBits, hart_bits),
                        (GuestBits, guest_bits),
                    ]);
                    let Ok(layout) = config.layout(some(&[0])) else {
                        assert!(group_bits != 0);
                        assert!(12 + guest_bits + hart_bits > group_shift);
                        continue;
                    };
                    for group in [0, 1, (1 << group_bits) - 1] {
                        for hart in [0, 1, (1 << hart_bits) - 1] {
                            for guest in [0, 1, (1 << guest_bits) - 1] {
                                let fits = group >> group_bits == 0 && guest >> guest_bits == 0;
                                if hart >> hart_bits != 0 {
                                    continue;
                                }
                                let index = group << hart_bits | hart;
                                let found = address(&layout, index, guest);
                                assert_eq!(found.is_some(), fits);
                                let Some(addr) = found else { continue };
                                let expected = u64::from(group) << group_shift
                                    | u64::from(hart) << (12 + guest_bits)
                                    | u64::from(guest) << 12;
                                assert_eq!(addr, expected);
                                assert_eq!(layout.locate(addr | 4), place(index, guest, 4));
                            }
                        }
                    }
                }
            }
        }
    }
}
