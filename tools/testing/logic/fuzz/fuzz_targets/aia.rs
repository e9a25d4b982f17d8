// SPDX-License-Identifier: GPL-2.0

//! Fuzzes the decoding of registers of the AIA, of its messages and of the device's attributes.

#![no_main]

use kvm_riscv_logic::abi::aia::{
    hvictl,
    hviprio_byte,
    AplicReg,
    Attr,
    Identity,
    ImsicReg,
    IndirectReg,
    MsiPort,
    OffsetError,
    SelectError,
    Source,
    SourceMode,
    Target, //
};
use libfuzzer_sys::fuzz_target;

fn offset(reg: AplicReg) -> Option<u64> {
    let word = |base: u64, word: usize| Some(base + word as u64 * 4);

    match reg {
        AplicReg::DomainCfg => Some(0),
        AplicReg::SourceCfg(source) => Some(u64::from(source.number()) * 4),
        AplicReg::SetIp(k) => word(0x1c00, k.index()),
        AplicReg::SetIpNum => Some(0x1cdc),
        AplicReg::InClrIp(k) => word(0x1d00, k.index()),
        AplicReg::ClrIpNum => Some(0x1ddc),
        AplicReg::SetIe(k) => word(0x1e00, k.index()),
        AplicReg::SetIeNum => Some(0x1edc),
        AplicReg::ClrIe(k) => word(0x1f00, k.index()),
        AplicReg::ClrIeNum => Some(0x1fdc),
        AplicReg::SetIpNumLe => Some(0x2000),
        AplicReg::SetIpNumBe => Some(0x2004),
        AplicReg::GenMsi => Some(0x3000),
        AplicReg::Target(source) => Some(0x3000 + u64::from(source.number()) * 4),
        AplicReg::Reserved => None,
    }
}

fuzz_target!(|input: (u64, u32, u32)| {
    let (number, value, group) = input;

    for at in [number, number & 0x3fff, number & 0x3ffc] {
        match AplicReg::decode(at) {
            Ok(reg) => assert!(offset(reg).map_or(at < 0x4000, |offset| offset == at)),
            Err(OffsetError::Misaligned) => assert!(at % 4 != 0),
            Err(OffsetError::Outside) => assert!(at >= 0x4000),
        }
        if let Some(port) = MsiPort::decode(at) {
            let identity = port.identity(value).map(Identity::number);
            let data = if at == 4 { value.swap_bytes() } else { value };
            assert_eq!(identity, (1..2048).contains(&data).then_some(data));
        }
    }
    for at in [number, number & 0xfff, number & 0xff] {
        match IndirectReg::decode(at) {
            Ok(IndirectReg::Iprio(reg)) => assert_eq!(at, 0x30 + u64::from(reg.index()) * 2),
            Ok(IndirectReg::Imsic(reg)) => match reg {
                ImsicReg::EiDelivery => assert_eq!(at, 0x70),
                ImsicReg::EiThreshold => assert_eq!(at, 0x72),
                ImsicReg::Eip(eix) => assert_eq!(at, 0x80 + eix.index() as u64 * 2),
                ImsicReg::Eie(eix) => assert_eq!(at, 0xc0 + eix.index() as u64 * 2),
                ImsicReg::Reserved => assert!((0x71..0x80).contains(&at)),
            },
            Err(SelectError::Odd) => assert!(at % 2 != 0),
            Err(SelectError::Unknown) => assert!(!(0x70..0x100).contains(&at)),
        }
    }
    for value in [value, value & 0xfff] {
        assert_eq!(Source::new(value).is_some(), (1..1024).contains(&value));
        if let Some(place) = hviprio_byte(value) {
            assert!(place < 16);
        }
        if let Some(mode) = SourceMode::from_raw(value) {
            assert_eq!(mode.raw(), value);
        }
        let identity = Identity::new(value);
        assert_eq!(hvictl::external(identity) & !hvictl::IPRIO, 9 << 16);
        assert_eq!(identity.map_or(0, Identity::topei) >> 27, 0);
        if let Some(msi) = Target::from_raw(value).msi() {
            let raw = msi.hart.0 << 18 | msi.guest.0 << 12 | msi.identity.number();
            assert_eq!(raw, value & !0x800);
        }
        assert_eq!(Target::from_raw(value).raw(), value & 0xfffc_07ff);
    }
    for group in [group, group & 7] {
        match Attr::decode(group, number) {
            Some(Attr::Config(_)) => assert!(group == 0 && number < 7),
            Some(Attr::AplicAddr) => assert_eq!((group, number), (1, 0)),
            Some(Attr::ImsicAddr(index)) => assert_eq!((group, number), (1, index + 1)),
            Some(Attr::Init) => assert_eq!((group, number), (2, 0)),
            Some(Attr::Aplic { offset }) => assert_eq!((group, number), (3, offset)),
            Some(Attr::Imsic { vcpu_id, siselect }) => {
                assert_eq!((group, number), (4, vcpu_id << 12 | siselect));
            }
            None => assert!(group != 3 && group != 4),
        }
    }
});
