// SPDX-License-Identifier: GPL-2.0

//! Fuzzes the configuration of an AIA, and its addresses against a walk over the vCPUs.

#![no_main]

use kvm_riscv_logic::{
    abi::aia::{
        Attr,
        GuestIndex,
        HartIndex,
        Identity, //
    },
    aia::layout::{
        Config,
        Host, //
    }, //
};
use libfuzzer_sys::fuzz_target;

/// The fields of an address, by division.
fn fields(config: &[u128; 4], addr: u64) -> (u128, u128, u128, u128) {
    let [group_bits, group_shift, hart_bits, guest_bits] = *config;
    let addr = u128::from(addr);
    let guest = addr >> 12 & ((1 << guest_bits) - 1);
    let hart = addr >> (12 + guest_bits) & ((1 << hart_bits) - 1);
    let group = addr >> group_shift & ((1 << group_bits) - 1);
    let index = group << hart_bits | hart;
    let base = addr
        - (addr & 0xfff)
        - (guest << 12)
        - (hart << (12 + guest_bits))
        - (group << group_shift);

    (base, index, guest, addr & 0xfff)
}

fuzz_target!(
    |input: (u16, u8, Vec<(u8, u32)>, u64, Vec<Option<u64>>, Vec<u64>)| {
        let (last_id, guest_files, attrs, aplic, addrs, gpas) = input;

        let mut config = Config::new(Host {
            last_id: Identity::new(u32::from(last_id) | 63).unwrap_or(Identity::new(2047).unwrap()),
            guest_files: u32::from(guest_files & 3),
        });
        for (attr, value) in attrs {
            let Some(Attr::Config(attr)) = Attr::decode(0, u64::from(attr % 7)) else {
                unreachable!();
            };
            let value = if value & 1 == 0 {
                value >> 1 & 0x3f
            } else {
                value
            };
            let before = config.get(attr);
            let expected = match config.set(attr, value) {
                Ok(()) => value,
                Err(_) => before,
            };
            assert_eq!(config.get(attr), expected);
        }
        let has_aplic = config.set_aplic_addr(aplic).is_ok();
        assert_eq!(has_aplic, aplic % 0x1000 == 0);

        let numbers = [3, 4, 5, 6].map(|attr| {
            let Some(Attr::Config(attr)) = Attr::decode(0, attr) else {
                unreachable!();
            };
            u128::from(config.get(attr))
        });
        // Most addresses are no good, and few have to do with each other.
        let [_, group_shift, hart_bits, guest_bits] = numbers;
        let addrs: Vec<_> = addrs
            .iter()
            .map(|addr| {
                addr.map(|addr| match addr & 7 {
                    0 => addr,
                    _ => {
                        (addr >> 3 & 0xff) << (12 + guest_bits)
                            | (addr >> 11 & 3) << group_shift
                            | (addr >> 13 & 1) << (12 + guest_bits + hart_bits)
                    }
                })
            })
            .collect();

        let Ok(layout) = config.layout(addrs.iter().copied()) else {
            return;
        };
        let addrs: Vec<u64> = addrs.iter().map(|addr| addr.unwrap()).collect();
        for gpa in gpas
            .iter()
            .copied()
            .chain(addrs.iter().map(|addr| addr | 4))
        {
            let (base, index, guest, offset) = fields(&numbers, gpa);
            let in_aplic = layout.aplic_offset(gpa);
            assert_eq!(
                in_aplic.is_some(),
                layout
                    .aplic_addr()
                    .is_some_and(|aplic| (aplic..=aplic.saturating_add(0x3fff)).contains(&gpa))
            );
            let expected = addrs
                .first()
                .is_some_and(|addr| fields(&numbers, *addr).0 == base);
            let Some(place) = layout.locate(gpa) else {
                assert!(!expected);
                continue;
            };
            assert!(expected);
            assert_eq!(u128::from(place.hart.0), index);
            assert_eq!(u128::from(place.guest.0), guest);
            assert_eq!(u128::from(place.offset), offset);
            assert_eq!(layout.address(place.hart, place.guest), Some(gpa & !0xfff));
            // Whoever walks over the vCPUs finds the same ones.
            for addr in &addrs {
                let is_page = *addr == gpa & !0xfff;
                let found = layout.locate(*addr).unwrap();
                assert_eq!(found.guest, GuestIndex(0));
                assert_eq!(is_page, found.hart == place.hart && place.guest.0 == 0);
            }
        }
        let [hart, guest] = [aplic as u32, (aplic >> 32) as u32];
        if let Some(addr) = layout.address(HartIndex(hart), GuestIndex(guest)) {
            let place = layout.locate(addr).unwrap();
            assert_eq!(
                (place.hart.0, place.guest.0, place.offset),
                (hart, guest, 0)
            );
        }
    }
);
