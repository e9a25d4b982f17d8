// SPDX-License-Identifier: GPL-2.0

//! Tests of the values that the CSRs of a guest can hold.

use kvm_riscv_logic::abi::{
    one_reg::IsaExtId,
    warl::*, //
};

const SUPPORT: SatpSupport = SatpSupport {
    modes: 1 << 8 | 1 << 9,
    asid_bits: 4,
};

/// Values with each bit alone, pairs of neighbours, and everything.
fn values() -> impl Iterator<Item = u64> {
    (0..64)
        .map(|bit| 1 << bit)
        .chain((0..63).map(|bit| 3 << bit))
        .chain([0, u64::MAX, 0x5555_5555_5555_5555, 0xaaaa_aaaa_aaaa_aaaa])
}

#[test]
fn satp_of_a_mode_that_there_is() {
    assert_eq!(satp(7, 8 << 60 | 0x1234, SUPPORT), 8 << 60 | 0x1234);
    assert_eq!(satp(7, 9 << 60, SUPPORT), 9 << 60);
}

#[test]
fn satp_keeps_its_value_if_the_mode_is_unknown() {
    for mode in (1..16).filter(|mode| !(8..=9).contains(mode)) {
        assert_eq!(satp(7, mode << 60 | 5, SUPPORT), 7, "mode {mode}");
    }
}

#[test]
fn satp_that_is_bare_is_zero() {
    assert_eq!(satp(8 << 60, 0, SUPPORT), 0);
    assert_eq!(satp(8 << 60, (1 << 60) - 1, SUPPORT), 0);
}

#[test]
fn satp_has_the_bits_of_asid_that_there_are() {
    let all = 8 << 60 | ((1 << 60) - 1);
    assert_eq!(satp(0, all, SUPPORT), 8 << 60 | (1 << 48) - 1);
    for asid_bits in [16, 17, 64] {
        let support = SatpSupport {
            asid_bits,
            ..SUPPORT
        };
        assert_eq!(satp(0, all, support), all);
    }
    let none = SatpSupport {
        asid_bits: 0,
        ..SUPPORT
    };
    assert_eq!(satp(0, all, none), 8 << 60 | (1 << 44) - 1);
}

#[test]
fn sstatus_has_no_bit_of_the_host() {
    const GUEST: u64 = 1 << 1 | 1 << 5 | 1 << 8 | 3 << 9 | 3 << 13 | 1 << 18 | 1 << 19;
    const SPELP: u64 = 1 << 23;
    for value in values() {
        assert_eq!(sstatus(value, no_ext) & !(1 << 63), value & GUEST | 2 << 32);
        let with_landing_pads = sstatus(value, |ext| ext == IsaExtId::Zicfilp);
        assert_eq!(
            with_landing_pads & !(1 << 63),
            value & (GUEST | SPELP) | 2 << 32
        );
    }
    // TVM, TW, TSR, MPRV and MPP of mstatus, which a hart may keep in the same register.
    for bit in [11, 12, 17, 20, 21, 22] {
        assert_eq!(sstatus(1 << bit, any_ext), 2 << 32);
    }
}

#[test]
fn sstatus_sums_up_what_is_dirty() {
    for (value, dirty) in [
        (0, false),
        (1 << 63, false),
        (1 << 9, false),
        (2 << 9, false),
        (3 << 9, true),
        (2 << 13, false),
        (3 << 13, true),
        (3 << 13 | 3 << 9, true),
    ] {
        assert_eq!(sstatus(value, no_ext) >> 63 != 0, dirty, "{value:#x}");
    }
}

fn no_ext(_: IsaExtId) -> bool {
    false
}

fn any_ext(_: IsaExtId) -> bool {
    true
}

#[test]
fn ssp_is_aligned() {
    for value in values() {
        assert_eq!(ssp(value), value / 8 * 8);
    }
}

#[test]
fn sie_and_sip_have_the_interrupts_of_a_guest() {
    assert_eq!(interrupts(u64::MAX, no_ext), 0x222);
    assert_eq!(interrupts(0x20, any_ext), 0x20);
    let overflow = |ext| ext == IsaExtId::Sscofpmf;
    assert_eq!(interrupts(u64::MAX, overflow), 0x2222);
}

#[test]
fn stvec_keeps_its_value_if_the_mode_is_reserved() {
    assert_eq!(stvec(0x1000, 0x8000), 0x8000);
    assert_eq!(stvec(0x1000, 0x8001), 0x8001);
    assert_eq!(stvec(0x1000, 0x8002), 0x1000);
    assert_eq!(stvec(0x1000, 0x8003), 0x1000);
}

#[test]
fn registers_of_fewer_bits() {
    assert_eq!(sepc(u64::MAX), u64::MAX - 1);
    assert_eq!(scause(u64::MAX), 1 << 63 | 63);
    assert_eq!(scounteren(u64::MAX), 0xffff_ffff);
}

#[test]
fn sstateen0_has_the_bits_that_the_guest_has() {
    assert_eq!(sstateen0(u64::MAX, 3 << 62), 0);
    assert_eq!(sstateen0(u64::MAX, 3 << 62 | 2), 2);
    assert_eq!(sstateen0(4, 3 << 62 | 2), 0);
}

/// What a register holds is what can be written to it.
#[test]
fn legal_values_stay() {
    for value in values() {
        for old in [0, 0x8000] {
            let held = stvec(old, value);
            assert_eq!(stvec(old, held), held);
            let held = satp(old, value, SUPPORT);
            assert_eq!(
                satp(held, held, SUPPORT),
                if held >> 60 == 0 { 0 } else { held }
            );
        }
        let any_sstatus = |value| sstatus(value, any_ext);
        let any_interrupts = |value| interrupts(value, any_ext);
        for f in [any_sstatus, any_interrupts, sepc, scause, scounteren, ssp] {
            assert_eq!(f(f(value)), f(value));
        }
    }
}

#[test]
fn stvec_of_an_address_of_sv39_fits_every_hart() {
    for base in [
        0,
        4,
        (1 << 38) - 4,
        !0 << 38,
        !0 << 2,
        0xffff_ffff_8000_0000,
    ] {
        assert!(stvec_always_fits(base), "{base:#x}");
    }
    for base in [1, 5, 1 << 38, !0 << 39, 1 << 56, 1 << 63, !3 ^ 1 << 38] {
        assert!(!stvec_always_fits(base), "{base:#x}");
    }
}
