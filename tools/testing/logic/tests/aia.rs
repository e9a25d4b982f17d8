// SPDX-License-Identifier: GPL-2.0

//! Tests of the registers of the AIA, and of the attributes of its device.

use kvm_riscv_logic::abi::aia::{
    domaincfg,
    hvictl,
    hviprio_byte,
    sourcecfg,
    AplicReg,
    Attr,
    ConfigAttr,
    Eix,
    GuestIndex,
    HartIndex,
    Identity,
    ImsicReg,
    IndirectReg,
    IprioReg,
    Msi,
    MsiPort,
    OffsetError,
    SelectError,
    Source,
    SourceMode,
    Target,
    Word,
    ADDR_UNDEFINED,
    APLIC_ALIGN,
    APLIC_SIZE,
    IMSIC_PAGE_SHIFT,
    IMSIC_PAGE_SIZE, //
};

fn source(number: u32) -> Source {
    Source::new(number).unwrap()
}

fn identity(number: u32) -> Identity {
    Identity::new(number).unwrap()
}

#[test]
fn sizes_are_those_of_the_specification() {
    assert_eq!((APLIC_SIZE, APLIC_ALIGN), (0x4000, 0x1000));
    assert_eq!((IMSIC_PAGE_SIZE, IMSIC_PAGE_SHIFT), (0x1000, 12));
    assert_eq!((Word::COUNT, Eix::COUNT), (32, 32));
    assert_eq!(ADDR_UNDEFINED, !0);
    assert_eq!(domaincfg::READ_ONLY, 0x8000_0000);
    assert_eq!((domaincfg::IE, domaincfg::DM), (0x100, 4));
    assert_eq!((sourcecfg::D, sourcecfg::SM), (0x400, 7));
}

#[test]
fn sources_are_those_from_1_to_1023() {
    for number in 0..5000 {
        let found = Source::new(number);
        assert_eq!(found.is_some(), (1..=1023).contains(&number));
        let Some(found) = found else { continue };
        assert_eq!(found.number(), number);
        assert_eq!(found.word().index() as u32, number / 32);
        assert_eq!(found.mask(), 1 << (number % 32));
        assert_eq!(
            Source::of_bit(Word::new(number / 32), number % 32),
            Some(found)
        );
    }
    assert_eq!(Source::new(1 << 31 | 1), None);
    assert_eq!(Source::new(!0), None);
    assert_eq!(Source::of_bit(Word::new(0), 0), None);
    // Only the low bits count.
    assert_eq!(Source::of_bit(Word::new(33), 34), Some(source(34)));
}

#[test]
fn identities_are_those_from_1_to_2047() {
    for number in 0..5000 {
        let found = Identity::new(number);
        assert_eq!(found.is_some(), (1..=2047).contains(&number));
        let Some(found) = found else { continue };
        assert_eq!(found.number(), number);
        assert_eq!(found.eix().index() as u32, number / 64);
        assert_eq!(found.mask(), 1 << (number % 64));
        assert_eq!(found.topei(), u64::from(number) * 0x10001);
    }
    assert_eq!(Identity::new(1 << 31 | 1), None);
    assert_eq!(Identity::new(!0), None);
}

#[test]
fn numbers_of_words_have_five_bits() {
    for number in 0..200 {
        assert_eq!(Word::new(number).index() as u32, number % 32);
        assert_eq!(Eix::new(number).index() as u32, number % 32);
        assert_eq!(IprioReg::new(number).index(), number % 8);
    }
}

#[test]
fn source_modes_have_their_values() {
    use SourceMode::*;

    // Value; active, attached, level, inverted.
    for (raw, mode, properties) in [
        (0, Inactive, [false, false, false, false]),
        (1, Detached, [true, false, false, false]),
        (4, Edge1, [true, true, false, false]),
        (5, Edge0, [true, true, false, true]),
        (6, Level1, [true, true, true, false]),
        (7, Level0, [true, true, true, true]),
    ] {
        assert_eq!(SourceMode::from_raw(raw), Some(mode));
        assert_eq!(mode.raw(), raw);
        assert_eq!(
            [
                mode.is_active(),
                mode.is_attached(),
                mode.is_level(),
                mode.is_inverted()
            ],
            properties
        );
    }
    for raw in [2, 3, 8, 0x400, !0] {
        assert_eq!(SourceMode::from_raw(raw), None);
    }
}

#[test]
fn a_target_is_a_message() {
    let target = Target::from_raw(!0);
    assert_eq!(target.raw(), 0xfffc_07ff);
    let msi = |hart, guest, number| {
        Some(Msi {
            hart: HartIndex(hart),
            guest: GuestIndex(guest),
            identity: identity(number),
        })
    };
    assert_eq!(target.msi(), msi(0x3fff, 0, 0x7ff));
    for (raw, expected) in [
        (1 << 18 | 1, msi(1, 0, 1)),
        (1 << 31 | 2, msi(0x2000, 0, 2)),
        (1 << 12 | 3, msi(0, 0, 3)),
        (1 << 17 | 4, msi(0, 0, 4)),
        (1 << 10, msi(0, 0, 0x400)),
        (1 << 11, None),
        (0xffff_f000, None),
        (0, None),
    ] {
        assert_eq!(Target::from_raw(raw).msi(), expected);
    }
    assert_eq!(Target::default().raw(), 0);
}

#[test]
fn registers_of_an_aplic_have_their_offsets() {
    use AplicReg::*;

    for (offset, reg) in [
        (0x0000, DomainCfg),
        (0x0004, SourceCfg(source(1))),
        (0x0ffc, SourceCfg(source(1023))),
        (0x1000, Reserved),
        (0x1bc0, Reserved),
        (0x1bcc, Reserved),
        (0x1bfc, Reserved),
        (0x1c00, SetIp(Word::new(0))),
        (0x1c7c, SetIp(Word::new(31))),
        (0x1c80, Reserved),
        (0x1cd8, Reserved),
        (0x1cdc, SetIpNum),
        (0x1ce0, Reserved),
        (0x1d00, InClrIp(Word::new(0))),
        (0x1d7c, InClrIp(Word::new(31))),
        (0x1d80, Reserved),
        (0x1ddc, ClrIpNum),
        (0x1e00, SetIe(Word::new(0))),
        (0x1e7c, SetIe(Word::new(31))),
        (0x1e80, Reserved),
        (0x1edc, SetIeNum),
        (0x1f00, ClrIe(Word::new(0))),
        (0x1f7c, ClrIe(Word::new(31))),
        (0x1f80, Reserved),
        (0x1fdc, ClrIeNum),
        (0x1ffc, Reserved),
        (0x2000, SetIpNumLe),
        (0x2004, SetIpNumBe),
        (0x2008, Reserved),
        (0x2ffc, Reserved),
        (0x3000, GenMsi),
        (0x3004, Target(source(1))),
        (0x3ffc, Target(source(1023))),
    ] {
        assert_eq!(AplicReg::decode(offset), Ok(reg), "{offset:#x}");
    }
    for offset in 0..0x4000 {
        assert_eq!(
            AplicReg::decode(offset) == Err(OffsetError::Misaligned),
            offset % 4 != 0
        );
    }
    for offset in [0x4000, 0x4020, 1 << 32, 1 << 32 | 4, !3] {
        assert_eq!(AplicReg::decode(offset), Err(OffsetError::Outside));
        let misaligned = AplicReg::decode(offset + 1);
        assert_eq!(misaligned, Err(OffsetError::Misaligned));
    }
}

#[test]
fn each_register_of_an_aplic_has_one_offset() {
    let mut regs = Vec::new();
    for offset in (0..APLIC_SIZE).step_by(4) {
        let reg = AplicReg::decode(offset).unwrap();
        if reg != AplicReg::Reserved {
            assert!(!regs.contains(&reg));
            regs.push(reg);
        }
    }
    assert_eq!(regs.len(), 1 + 2 * 1023 + 4 * 33 + 3);
}

#[test]
fn messages_have_two_ports() {
    assert_eq!(MsiPort::decode(0), Some(MsiPort::LittleEndian));
    assert_eq!(MsiPort::decode(4), Some(MsiPort::BigEndian));
    for offset in [1, 2, 3, 5, 8, 0xffc, 0x1000, !0] {
        assert_eq!(MsiPort::decode(offset), None);
    }
    let (little, big) = (MsiPort::LittleEndian, MsiPort::BigEndian);
    for number in [0, 1, 0x7ff, 0x800, 0x100] {
        assert_eq!(little.identity(number), Identity::new(number));
        assert_eq!(big.identity(number.swap_bytes()), Identity::new(number));
    }
    assert_eq!(little.identity(1 << 24), None);
    assert_eq!(big.identity(1), None);
    assert_eq!(little.identity(1 << 16 | 1), None);
}

#[test]
fn indirect_registers_have_their_numbers() {
    use ImsicReg::*;
    use IndirectReg::*;

    for (siselect, reg) in [
        (0x30, Iprio(IprioReg::new(0))),
        (0x32, Iprio(IprioReg::new(1))),
        (0x3e, Iprio(IprioReg::new(7))),
        (0x70, Imsic(EiDelivery)),
        (0x71, Imsic(Reserved)),
        (0x72, Imsic(EiThreshold)),
        (0x73, Imsic(Reserved)),
        (0x7f, Imsic(Reserved)),
        (0x80, Imsic(Eip(Eix::new(0)))),
        (0x82, Imsic(Eip(Eix::new(1)))),
        (0xbe, Imsic(Eip(Eix::new(31)))),
        (0xc0, Imsic(Eie(Eix::new(0)))),
        (0xfe, Imsic(Eie(Eix::new(31)))),
    ] {
        assert_eq!(IndirectReg::decode(siselect), Ok(reg), "{siselect:#x}");
    }
    for siselect in 0..0x300 {
        let error = IndirectReg::decode(siselect).err();
        let expected = match siselect {
            0x70..=0x7f => None,
            0x30..=0x3f | 0x80..=0xff if siselect % 2 != 0 => Some(SelectError::Odd),
            0x30..=0x3f | 0x80..=0xff => None,
            _ => Some(SelectError::Unknown),
        };
        assert_eq!(error, expected, "{siselect:#x}");
    }
    for siselect in [1 << 12 | 0x70, 1 << 32 | 0x80, 1 << 63 | 0x30, !0] {
        assert_eq!(IndirectReg::decode(siselect), Err(SelectError::Unknown));
    }
}

#[test]
fn hvictl_shows_the_external_interrupt() {
    assert_eq!(
        [
            hvictl::VTI,
            hvictl::IID,
            hvictl::DPR,
            hvictl::IPRIOM,
            hvictl::IPRIO
        ],
        [0x4000_0000, 0x0fff_0000, 0x200, 0x100, 0xff]
    );
    assert_eq!(hvictl::external(None), 9 << 16 | 255);
    for (number, priority) in [
        (1, 1),
        (254, 254),
        (255, 255),
        (256, 255),
        (257, 255),
        (2047, 255),
    ] {
        let value = hvictl::external(Some(identity(number)));
        assert_eq!(value, 9 << 16 | priority);
    }
}

#[test]
fn priorities_have_their_bytes() {
    let mut places = [None; 16];
    for interrupt in 0..200 {
        if let Some(place) = hviprio_byte(interrupt) {
            assert_eq!(places[place as usize], None);
            places[place as usize] = Some(interrupt);
        }
    }
    // Section 6.3.1.
    let expected: Vec<_> = [
        None,
        Some(1),
        None,
        Some(5),
        None,
        Some(13),
        Some(14),
        Some(15),
    ]
    .into_iter()
    .chain((16..=23).map(Some))
    .collect();
    assert_eq!(places[..], expected);
}

#[test]
fn attributes_are_those_of_the_uapi() {
    use ConfigAttr::*;

    for (attr, config) in (0..).zip([
        Mode, Ids, Sources, GroupBits, GroupShift, HartBits, GuestBits,
    ]) {
        assert_eq!(Attr::decode(0, attr), Some(Attr::Config(config)));
    }
    for (group, attr, expected) in [
        (0, 7, None),
        (0, 1 << 32, None),
        (1, 0, Some(Attr::AplicAddr)),
        (1, 1, Some(Attr::ImsicAddr(0))),
        (1, 0x4000, Some(Attr::ImsicAddr(0x3fff))),
        (1, !0, Some(Attr::ImsicAddr(!1))),
        (2, 0, Some(Attr::Init)),
        (2, 1, None),
        (3, 0, Some(Attr::Aplic { offset: 0 })),
        (3, !0, Some(Attr::Aplic { offset: !0 })),
        (5, 0, None),
        (!0, 0, None),
    ] {
        assert_eq!(Attr::decode(group, attr), expected);
    }
    for (attr, vcpu_id, siselect) in [
        (0x70, 0, 0x70),
        (0x1fff, 1, 0xfff),
        (5 << 12 | 0xc0, 5, 0xc0),
        (1 << 44 | 0x70, 1 << 32, 0x70),
        (!0, (1 << 52) - 1, 0xfff),
    ] {
        let expected = Attr::Imsic { vcpu_id, siselect };
        assert_eq!(Attr::decode(4, attr), Some(expected));
    }
}
