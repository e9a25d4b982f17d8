// SPDX-License-Identifier: GPL-2.0

//! The registers `iprio`, on `hviprio1` and `hviprio2`.

use kvm_riscv_logic::{
    abi::aia::IprioReg,
    aia::imsic::Priorities, //
};

fn iprio(number: u32) -> IprioReg {
    IprioReg::new(number / 2)
}

const ALL: Priorities = Priorities {
    hviprio1: 0x1f1e_1d1c_1b1a_1918,
    hviprio2: 0x2f2e_2d2c_2b2a_2928,
};

#[test]
fn each_interrupt_is_read_from_its_byte() {
    for (number, expected) in [
        (0, 0x0000_1b00_0000_1900),
        (2, 0x1f1e_1d00_0000_0000),
        (4, ALL.hviprio2),
        (6, 0),
        (8, 0),
        (14, 0),
    ] {
        assert_eq!(ALL.read(iprio(number)), expected, "iprio{number}");
    }
}

#[test]
fn each_interrupt_is_written_to_its_byte() {
    for (number, hviprio1, hviprio2) in [
        (0, 0x0000_0000_f500_f100, 0),
        (2, 0xf7f6_f500_0000_0000, 0),
        (4, 0, 0xf7f6_f5f4_f3f2_f1f0),
        (6, 0, 0),
        (14, 0, 0),
    ] {
        let mut priorities = Priorities::default();
        let value = 0xf7f6_f5f4_f3f2_f1f0;
        assert_eq!(priorities.modify(iprio(number), value, !0, !0), 0);
        let expected = Priorities { hviprio1, hviprio2 };
        assert_eq!(priorities, expected, "iprio{number}");
    }
}

#[test]
fn bits_outside_of_the_mask_stay() {
    let mut priorities = ALL;
    let old = priorities.modify(iprio(4), 0, 0x00ff_0000_0000_0f00, !0);
    assert_eq!(old, ALL.hviprio2);
    assert_eq!(priorities.hviprio2, 0x2f00_2d2c_2b2a_2028);
    assert_eq!(priorities.hviprio1, ALL.hviprio1);
    // Nor do those of reserved bytes change.
    let old = priorities.modify(iprio(0), !0, !0, !0);
    assert_eq!(old, 0x0000_1b00_0000_1900);
    assert_eq!(priorities.hviprio1, 0x1f1e_1d1c_ff1a_ff18);
    let before = priorities;
    assert_eq!(
        priorities.modify(iprio(2), !0, 0, !0),
        0x1f1e_1d00_0000_0000
    );
    assert_eq!(priorities, before);
}

/// Section 5.4.1.
#[test]
fn an_interrupt_that_cannot_be_enabled_has_no_priority() {
    let sie = 1 << 1 | 1 << 5 | 1 << 9 | 1 << 13;
    let mut priorities = Priorities::default();
    for number in [0, 2, 4] {
        assert_eq!(priorities.modify(iprio(number), !0, !0, sie), 0);
    }
    assert_eq!(priorities.read(iprio(0)), 0x0000_ff00_0000_ff00);
    assert_eq!(priorities.read(iprio(2)), 0x0000_ff00_0000_0000);
    assert_eq!(priorities.read(iprio(4)), 0);
    // The external interrupt never has one.
    let mut priorities = Priorities::default();
    assert_eq!(priorities.modify(iprio(2), !0, !0, 1 << 9), 0);
    assert_eq!(priorities, Priorities::default());
    // Nor has an interrupt beyond 31 any, although it may be enabled.
    assert_eq!(priorities.modify(iprio(8), !0, !0, !0), 0);
    assert_eq!(priorities, Priorities::default());
}
