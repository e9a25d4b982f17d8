// SPDX-License-Identifier: GPL-2.0

//! What a file holds moves to a file of a hart, and back.

use kvm_riscv_logic::aia::imsic::Snapshot;

use super::*;

#[test]
fn everything_moves() {
    let mut file = open(255);
    file.write(reg(EITHRESHOLD), 200);
    file.write(reg(EIE0), 0xf0f0);
    file.set_pending(identity(4));
    file.set_pending(identity(130));

    let snapshot = file.take();
    let mut expected = Snapshot {
        eidelivery: 1,
        eithreshold: 200,
        ..Snapshot::EMPTY
    };
    expected.eip[0] = 1 << 4;
    expected.eip[2] = 1 << 2;
    expected.eie[..4].copy_from_slice(&[0xf0f0, !0, !0, !0]);
    assert_eq!(snapshot, expected);

    // Nothing stays.
    for siselect in (0x70..0x100).step_by(2) {
        assert_eq!(file.read(reg(siselect)), 0);
    }
    assert_eq!((file.topei(), file.take()), (None, Snapshot::EMPTY));

    file.merge(&snapshot);
    assert_eq!(number(file.external()), 4);
    assert_eq!(file.take(), expected);
}

#[test]
fn a_message_that_came_in_the_meantime_stays() {
    let mut file = open(255);
    file.set_pending(identity(4));
    let mut snapshot = file.take();
    file.set_pending(identity(3));
    file.set_pending(identity(250));
    assert_eq!(file.topei(), None);
    snapshot.eip[0] |= 1 << 5;
    file.merge(&snapshot);
    for expected in [3, 4, 5, 250, 0] {
        assert_eq!(number(file.external()), expected);
        assert_eq!(number(file.claim()), expected);
    }
}

#[test]
fn enables_and_the_rest_are_those_of_the_hart() {
    let mut file = open(127);
    file.write(reg(EITHRESHOLD), 5);
    let mut snapshot = Snapshot::EMPTY;
    snapshot.eie[1] = 1;
    file.merge(&snapshot);
    assert_eq!(file.read(reg(EIDELIVERY)), 0);
    assert_eq!(file.read(reg(EITHRESHOLD)), 0);
    assert_eq!(file.read(reg(EIE0)), 0);
    assert_eq!(file.read(reg(EIE0 + 2)), 1);
}

#[test]
fn a_hart_may_hold_more_than_the_file() {
    let mut file = file(127);
    file.merge(&Snapshot {
        eidelivery: !0,
        eithreshold: !0,
        eip: [!0; 32],
        eie: [!0; 32],
    });
    let mut expected = Snapshot {
        eidelivery: 1,
        eithreshold: 127,
        ..Snapshot::EMPTY
    };
    for bits in [&mut expected.eip, &mut expected.eie] {
        bits[..2].copy_from_slice(&[!1, !0]);
    }
    assert_eq!(number(file.external()), 1);
    assert_eq!(file.take(), expected);
}

#[test]
fn a_cleared_file_is_empty() {
    let mut file = open(2047);
    file.write(reg(EITHRESHOLD), 77);
    file.set_pending(identity(7));
    file.clear();
    assert_eq!((file.topei(), file.take()), (None, Snapshot::EMPTY));
}
