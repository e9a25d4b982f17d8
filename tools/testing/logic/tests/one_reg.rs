// SPDX-License-Identifier: GPL-2.0

//! Tests of the ids of one-reg registers.

use std::collections::BTreeSet;

use kvm_riscv_logic::abi::{
    insn::Gpr,
    one_reg::{
        AiaCsr,
        ConfigReg,
        CoreReg,
        CsrReg,
        ExtReg,
        ExtWord,
        FpReg,
        FwftFeature,
        FwftField,
        FwftReg,
        GeneralCsr,
        IdError,
        IsaExtId,
        Numbered,
        Reg,
        RegNum,
        RegType,
        SbiExtId,
        SbiStateReg,
        Size,
        SmstateenCsr,
        StaReg,
        TimerReg,
        VectorCsr,
        VectorReg,
        ZicfissCsr, //
    },
};

/// `enum KVM_RISCV_ISA_EXT_ID`, in its order.
const ISA_EXTENSIONS: [&str; 80] = [
    "A",
    "C",
    "D",
    "F",
    "H",
    "I",
    "M",
    "SVPBMT",
    "SSTC",
    "SVINVAL",
    "ZIHINTPAUSE",
    "ZICBOM",
    "ZICBOZ",
    "ZBB",
    "SSAIA",
    "V",
    "SVNAPOT",
    "ZBA",
    "ZBS",
    "ZICNTR",
    "ZICSR",
    "ZIFENCEI",
    "ZIHPM",
    "SMSTATEEN",
    "ZICOND",
    "ZBC",
    "ZBKB",
    "ZBKC",
    "ZBKX",
    "ZKND",
    "ZKNE",
    "ZKNH",
    "ZKR",
    "ZKSED",
    "ZKSH",
    "ZKT",
    "ZVBB",
    "ZVBC",
    "ZVKB",
    "ZVKG",
    "ZVKNED",
    "ZVKNHA",
    "ZVKNHB",
    "ZVKSED",
    "ZVKSH",
    "ZVKT",
    "ZFH",
    "ZFHMIN",
    "ZIHINTNTL",
    "ZVFH",
    "ZVFHMIN",
    "ZFA",
    "ZTSO",
    "ZACAS",
    "SSCOFPMF",
    "ZIMOP",
    "ZCA",
    "ZCB",
    "ZCD",
    "ZCF",
    "ZCMOP",
    "ZAWRS",
    "SMNPM",
    "SSNPM",
    "SVADE",
    "SVADU",
    "SVVPTC",
    "ZABHA",
    "ZICCRSE",
    "ZAAMO",
    "ZALRSC",
    "ZICBOP",
    "ZFBFMIN",
    "ZVFBFMIN",
    "ZVFBFWMA",
    "ZCLSD",
    "ZILSD",
    "ZALASR",
    "ZICFILP",
    "ZICFISS",
];

/// `enum KVM_RISCV_SBI_EXT_ID`, in its order.
const SBI_EXTENSIONS: [&str; 14] = [
    "V01",
    "TIME",
    "IPI",
    "RFENCE",
    "SRST",
    "HSM",
    "PMU",
    "EXPERIMENTAL",
    "VENDOR",
    "DBCN",
    "STA",
    "SUSP",
    "FWFT",
    "MPXY",
];

const fn general(csr: GeneralCsr) -> Reg {
    Reg::Csr(CsrReg::General(csr))
}

const fn aia(csr: AiaCsr) -> Reg {
    Reg::Csr(CsrReg::Aia(csr))
}

const fn vector(csr: VectorCsr) -> Reg {
    Reg::Vector(VectorReg::Csr(csr))
}

const fn fwft(feature: FwftFeature, field: FwftField) -> Reg {
    Reg::SbiState(SbiStateReg::Fwft(FwftReg { feature, field }))
}

fn x(number: u32) -> Reg {
    Reg::Core(CoreReg::X(Gpr::new(number)))
}

fn f(number: u64) -> FpReg {
    FpReg::F(RegNum::from_number(number).unwrap())
}

fn word<E: Numbered>(number: u64) -> ExtWord<E> {
    ExtWord::from_number(number).unwrap()
}

fn v(number: u64, bytes: usize) -> Reg {
    Reg::Vector(VectorReg::V {
        num: RegNum::from_number(number).unwrap(),
        size: Size::from_bytes(bytes).unwrap(),
    })
}

/// What the macros of the uapi header make of the registers' names.
fn uapi() -> Vec<(u64, Reg)> {
    vec![
        // kvm_riscv_config
        (0x8030_0000_0100_0000, Reg::Config(ConfigReg::Isa)),
        (
            0x8030_0000_0100_0001,
            Reg::Config(ConfigReg::ZicbomBlockSize),
        ),
        (0x8030_0000_0100_0002, Reg::Config(ConfigReg::Mvendorid)),
        (0x8030_0000_0100_0003, Reg::Config(ConfigReg::Marchid)),
        (0x8030_0000_0100_0004, Reg::Config(ConfigReg::Mimpid)),
        (
            0x8030_0000_0100_0005,
            Reg::Config(ConfigReg::ZicbozBlockSize),
        ),
        (0x8030_0000_0100_0006, Reg::Config(ConfigReg::SatpMode)),
        (
            0x8030_0000_0100_0007,
            Reg::Config(ConfigReg::ZicbopBlockSize),
        ),
        // kvm_riscv_core: regs.pc, regs.ra, regs.sp, regs.gp, regs.a0, regs.t6, mode
        (0x8030_0000_0200_0000, Reg::Core(CoreReg::Pc)),
        (0x8030_0000_0200_0001, x(1)),
        (0x8030_0000_0200_0002, x(2)),
        (0x8030_0000_0200_0003, x(3)),
        (0x8030_0000_0200_000a, x(10)),
        (0x8030_0000_0200_001f, x(31)),
        (0x8030_0000_0200_0020, Reg::Core(CoreReg::Mode)),
        // kvm_riscv_csr
        (0x8030_0000_0300_0000, general(GeneralCsr::Sstatus)),
        (0x8030_0000_0300_0001, general(GeneralCsr::Sie)),
        (0x8030_0000_0300_0002, general(GeneralCsr::Stvec)),
        (0x8030_0000_0300_0003, general(GeneralCsr::Sscratch)),
        (0x8030_0000_0300_0004, general(GeneralCsr::Sepc)),
        (0x8030_0000_0300_0005, general(GeneralCsr::Scause)),
        (0x8030_0000_0300_0006, general(GeneralCsr::Stval)),
        (0x8030_0000_0300_0007, general(GeneralCsr::Sip)),
        (0x8030_0000_0300_0008, general(GeneralCsr::Satp)),
        (0x8030_0000_0300_0009, general(GeneralCsr::Scounteren)),
        (0x8030_0000_0300_000a, general(GeneralCsr::Senvcfg)),
        // kvm_riscv_aia_csr
        (0x8030_0000_0301_0000, aia(AiaCsr::Siselect)),
        (0x8030_0000_0301_0001, aia(AiaCsr::Iprio1)),
        (0x8030_0000_0301_0002, aia(AiaCsr::Iprio2)),
        (0x8030_0000_0301_0003, aia(AiaCsr::Sieh)),
        (0x8030_0000_0301_0004, aia(AiaCsr::Siph)),
        (0x8030_0000_0301_0005, aia(AiaCsr::Iprio1h)),
        (0x8030_0000_0301_0006, aia(AiaCsr::Iprio2h)),
        // kvm_riscv_smstateen_csr, kvm_riscv_zicfiss_csr
        (
            0x8030_0000_0302_0000,
            Reg::Csr(CsrReg::Smstateen(SmstateenCsr::Sstateen0)),
        ),
        (
            0x8030_0000_0303_0000,
            Reg::Csr(CsrReg::Zicfiss(ZicfissCsr::Ssp)),
        ),
        // kvm_riscv_timer
        (0x8030_0000_0400_0000, Reg::Timer(TimerReg::Frequency)),
        (0x8030_0000_0400_0001, Reg::Timer(TimerReg::Time)),
        (0x8030_0000_0400_0002, Reg::Timer(TimerReg::Compare)),
        (0x8030_0000_0400_0003, Reg::Timer(TimerReg::State)),
        // __riscv_f_ext_state, __riscv_d_ext_state: f[0], f[31], fcsr
        (0x8020_0000_0500_0000, Reg::FpF(f(0))),
        (0x8020_0000_0500_001f, Reg::FpF(f(31))),
        (0x8020_0000_0500_0020, Reg::FpF(FpReg::Fcsr)),
        (0x8030_0000_0600_0000, Reg::FpD(f(0))),
        (0x8030_0000_0600_001f, Reg::FpD(f(31))),
        (0x8020_0000_0600_0020, Reg::FpD(FpReg::Fcsr)),
        // KVM_RISCV_ISA_EXT_A and the last; the last word to enable, the first to disable
        (
            0x8030_0000_0700_0000,
            Reg::IsaExt(ExtReg::Single(IsaExtId::A)),
        ),
        (
            0x8030_0000_0700_004f,
            Reg::IsaExt(ExtReg::Single(IsaExtId::Zicfiss)),
        ),
        (
            0x8030_0000_0701_0001,
            Reg::IsaExt(ExtReg::MultiEnable(word(1))),
        ),
        (
            0x8030_0000_0702_0000,
            Reg::IsaExt(ExtReg::MultiDisable(word(0))),
        ),
        // The same of KVM_RISCV_SBI_EXT
        (
            0x8030_0000_0800_0000,
            Reg::SbiExt(ExtReg::Single(SbiExtId::V01)),
        ),
        (
            0x8030_0000_0800_000d,
            Reg::SbiExt(ExtReg::Single(SbiExtId::Mpxy)),
        ),
        (
            0x8030_0000_0801_0000,
            Reg::SbiExt(ExtReg::MultiEnable(word(0))),
        ),
        (
            0x8030_0000_0802_0000,
            Reg::SbiExt(ExtReg::MultiDisable(word(0))),
        ),
        // __riscv_v_ext_state; v0 with VLEN = 128, v31 with VLEN = 256
        (0x8030_0000_0900_0000, vector(VectorCsr::Vstart)),
        (0x8030_0000_0900_0001, vector(VectorCsr::Vl)),
        (0x8030_0000_0900_0002, vector(VectorCsr::Vtype)),
        (0x8030_0000_0900_0003, vector(VectorCsr::Vcsr)),
        (0x8030_0000_0900_0004, vector(VectorCsr::Vlenb)),
        (0x8040_0000_0900_0006, v(0, 16)),
        (0x8050_0000_0900_0025, v(31, 32)),
        // kvm_riscv_sbi_sta
        (
            0x8030_0000_0a00_0000,
            Reg::SbiState(SbiStateReg::Sta(StaReg::ShmemLo)),
        ),
        (
            0x8030_0000_0a00_0001,
            Reg::SbiState(SbiStateReg::Sta(StaReg::ShmemHi)),
        ),
        // kvm_riscv_sbi_fwft
        (
            0x8030_0000_0a01_0000,
            fwft(FwftFeature::MisalignedDeleg, FwftField::Enable),
        ),
        (
            0x8030_0000_0a01_0001,
            fwft(FwftFeature::MisalignedDeleg, FwftField::Flags),
        ),
        (
            0x8030_0000_0a01_0002,
            fwft(FwftFeature::MisalignedDeleg, FwftField::Value),
        ),
        (
            0x8030_0000_0a01_0003,
            fwft(FwftFeature::PointerMasking, FwftField::Enable),
        ),
        (
            0x8030_0000_0a01_0007,
            fwft(FwftFeature::PteAdHwUpdating, FwftField::Flags),
        ),
        (
            0x8030_0000_0a01_000b,
            fwft(FwftFeature::LandingPad, FwftField::Value),
        ),
        (
            0x8030_0000_0a01_000c,
            fwft(FwftFeature::ShadowStack, FwftField::Enable),
        ),
        (
            0x8030_0000_0a01_000e,
            fwft(FwftFeature::ShadowStack, FwftField::Value),
        ),
    ]
}

#[test]
fn ids_are_those_of_the_uapi_header() {
    for (id, reg) in uapi() {
        assert_eq!(Reg::decode(id), Ok(reg), "{id:x}");
        assert_eq!(reg.encode(), id, "{reg:?}");
    }
}

#[test]
fn extensions_are_those_of_the_uapi_header() {
    fn names<E: Numbered + std::fmt::Debug>() -> Vec<String> {
        E::all()
            .map(|id| format!("{id:?}").to_uppercase())
            .collect()
    }

    assert_eq!(names::<IsaExtId>(), ISA_EXTENSIONS);
    assert_eq!(names::<SbiExtId>(), SBI_EXTENSIONS);
}

/// Every register that there is, with each size that an id can have for a vector register.
fn all_registers() -> Vec<Reg> {
    fn extensions<E: Numbered>(of: fn(ExtReg<E>) -> Reg, words: u64) -> Vec<Reg> {
        let words = || (0..words).map(word::<E>);

        E::all()
            .map(ExtReg::Single)
            .chain(words().map(ExtReg::MultiEnable))
            .chain(words().map(ExtReg::MultiDisable))
            .map(of)
            .collect()
    }

    let mut regs = Vec::new();

    regs.extend(ConfigReg::all().map(Reg::Config));
    regs.extend(CoreReg::all().map(Reg::Core));
    regs.extend(GeneralCsr::all().map(CsrReg::General).map(Reg::Csr));
    regs.extend(AiaCsr::all().map(CsrReg::Aia).map(Reg::Csr));
    regs.extend(SmstateenCsr::all().map(CsrReg::Smstateen).map(Reg::Csr));
    regs.extend(ZicfissCsr::all().map(CsrReg::Zicfiss).map(Reg::Csr));
    regs.extend(TimerReg::all().map(Reg::Timer));
    regs.extend(FpReg::all().map(Reg::FpF));
    regs.extend(FpReg::all().map(Reg::FpD));
    regs.extend(extensions(Reg::IsaExt, 2));
    regs.extend(extensions(Reg::SbiExt, 1));
    regs.extend(VectorCsr::all().map(VectorReg::Csr).map(Reg::Vector));
    for exponent in 0..16 {
        regs.extend((0..32).map(|number| v(number, 1 << exponent)));
    }
    regs.extend(StaReg::all().map(SbiStateReg::Sta).map(Reg::SbiState));
    regs.extend(FwftReg::all().map(SbiStateReg::Fwft).map(Reg::SbiState));

    regs
}

#[test]
fn every_register_survives_the_round_trip_and_has_its_own_id() {
    let regs = all_registers();
    let ids: BTreeSet<u64> = regs.iter().map(|reg| reg.encode()).collect();

    assert_eq!(ids.len(), regs.len());
    for reg in regs {
        let id = reg.encode();

        assert_eq!(Reg::decode(id), Ok(reg), "{id:x}");
        assert_eq!(id >> 56, 0x80, "{reg:?}");
        assert_eq!(1 << (id >> 52 & 0xf), reg.size().bytes(), "{reg:?}");
        assert_eq!(id >> 24 & 0xff, reg.reg_type() as u64, "{reg:?}");
    }
}

#[test]
fn no_other_id_decodes() {
    let ids: BTreeSet<u64> = all_registers().into_iter().map(Reg::encode).collect();
    let numbers = || (0..0x60).chain([0xff, 0x100, 0x7fff, 0x8000, 0xffff]);
    let mut decoded = BTreeSet::new();

    for size in 0..16 {
        for reg_type in 0..0x100 {
            for subtype in (0..0x10).chain([0x7f, 0x80, 0xff]) {
                for number in numbers() {
                    let id = 0x80 << 56 | size << 52 | reg_type << 24 | subtype << 16 | number;

                    if let Ok(reg) = Reg::decode(id) {
                        assert_eq!(reg.encode(), id, "{reg:?}");
                        decoded.insert(id);
                    }
                }
            }
        }
    }
    assert_eq!(decoded, ids);
}

#[test]
fn bits_without_a_meaning_make_an_id_that_nothing_has() {
    for reg in all_registers() {
        let error = match reg {
            Reg::SbiState(reg) => IdError::NoSbiState(Some(reg.extension())),
            _ => IdError::NotFound,
        };

        for bit in 32..52 {
            assert_eq!(
                Reg::decode(reg.encode() | 1 << bit),
                Err(error),
                "{reg:?} {bit}"
            );
        }
    }
}

/// No program was ever refused for this, see [`Reg::decode`].
#[test]
fn the_architecture_does_not_matter() {
    for reg in all_registers() {
        let id = reg.encode() & !(0xff << 56);

        for arch in [0, 0x60, 0xff] {
            assert_eq!(Reg::decode(id | arch << 56), Ok(reg), "{reg:?}");
        }
    }
}

#[test]
fn the_size_of_a_register_is_not_negotiable() {
    for reg in all_registers() {
        if let Reg::Vector(VectorReg::V { .. }) = reg {
            continue;
        }
        for exponent in 0..16 {
            let expected = if 1 << exponent == reg.size().bytes() {
                Ok(reg)
            } else {
                Err(IdError::InvalidSize(reg.reg_type()))
            };
            let id = reg.encode() & !(0xf << 52) | exponent << 52;

            assert_eq!(Reg::decode(id), expected, "{reg:?} {exponent}");
        }
    }
}

/// Which error wins if both the size and the number are wrong.
#[test]
fn precedence_of_errors() {
    const U8: u64 = 0;
    const U32: u64 = 2;
    const U64: u64 = 3;
    const U128: u64 = 4;
    let not_found = IdError::NotFound;
    let size = IdError::InvalidSize;

    for (reg_type, subtype, number, exponent, expected) in [
        // An unknown type is not looked at further.
        (0, 0, 0, U64, not_found),
        (11, 0, 0, U64, not_found),
        (0xff, 0, 0, U8, not_found),
        // The size comes first, the number second.
        (1, 0, 8, U64, not_found),
        (1, 0, 8, U32, size(RegType::Config)),
        (1, 1, 0, U64, not_found),
        (2, 0, 33, U64, not_found),
        (2, 0, 33, U32, size(RegType::Core)),
        (3, 0, 11, U64, not_found),
        (3, 0, 11, U32, size(RegType::Csr)),
        (3, 1, 7, U64, not_found),
        (3, 2, 1, U64, not_found),
        (3, 3, 1, U64, not_found),
        (3, 4, 0, U64, not_found),
        (3, 4, 0, U128, size(RegType::Csr)),
        (4, 0, 4, U64, not_found),
        (4, 0, 4, U32, size(RegType::Timer)),
        (5, 0, 33, U32, not_found),
        (5, 0, 33, U64, size(RegType::FpF)),
        (7, 0, 80, U64, not_found),
        (7, 0, 80, U32, size(RegType::IsaExt)),
        (7, 1, 2, U64, not_found),
        (7, 3, 0, U64, not_found),
        (7, 3, 0, U32, size(RegType::IsaExt)),
        (8, 0, 14, U64, not_found),
        (8, 0, 14, U32, size(RegType::SbiExt)),
        (8, 1, 1, U64, not_found),
        (8, 3, 0, U64, not_found),
        // Registers of several sizes: the number comes first.
        (6, 0, 33, U64, not_found),
        (6, 0, 33, U32, not_found),
        (6, 0, 33, U8, not_found),
        (6, 0, 31, U32, size(RegType::FpD)),
        (6, 0, 32, U64, size(RegType::FpD)),
        (9, 0, 38, U64, not_found),
        (9, 0, 38, U8, not_found),
        // The pointer to the vector registers is among the CSRs, which have one size.
        (9, 0, 5, U64, not_found),
        (9, 0, 5, U128, size(RegType::Vector)),
        (10, 0, 2, U64, IdError::NoSbiState(Some(SbiExtId::Sta))),
        (10, 0, 2, U32, size(RegType::SbiState)),
        (10, 1, 15, U64, IdError::NoSbiState(Some(SbiExtId::Fwft))),
        (10, 2, 0, U64, IdError::NoSbiState(None)),
        (10, 0xff, 99, U64, IdError::NoSbiState(None)),
    ] {
        let id = 0x80 << 56 | exponent << 52 | reg_type << 24 | subtype << 16 | number;

        assert_eq!(Reg::decode(id), Err(expected), "{id:x}");
    }
}

#[test]
fn words_of_extensions() {
    let isa: Vec<_> = (0..2)
        .map(|number| word::<IsaExtId>(number).extensions().collect::<Vec<_>>())
        .collect();

    assert_eq!(isa[0].len(), 64);
    assert_eq!(isa[1].len(), ISA_EXTENSIONS.len() - 64);
    for (number, (bit, id)) in isa.concat().into_iter().enumerate() {
        assert_eq!(bit, 1 << (number % 64));
        assert_eq!(id.number(), number as u64);
    }

    let sbi: Vec<_> = word::<SbiExtId>(0).extensions().collect();
    assert_eq!(sbi.len(), SBI_EXTENSIONS.len());
    assert_eq!(sbi[3], (1 << 3, SbiExtId::Rfence));
}

#[test]
fn sizes() {
    for exponent in 0..16 {
        assert_eq!(
            Size::from_bytes(1 << exponent).unwrap().bytes(),
            1 << exponent
        );
    }
    for bytes in [0, 3, 12, 1 << 16, usize::MAX] {
        assert_eq!(Size::from_bytes(bytes), None);
    }
    assert_eq!((Size::U32.bytes(), Size::U64.bytes()), (4, 8));
}

#[test]
fn numbered_sets_count_from_zero() {
    fn check<E: Numbered + PartialEq + std::fmt::Debug>() {
        for number in (0..200).chain([1 << 16, 1 << 32, u64::MAX]) {
            let item = E::from_number(number);

            assert_eq!(item.is_some(), number < E::COUNT, "{item:?}");
            assert!(item.is_none_or(|item| item.number() == number), "{item:?}");
        }
        assert_eq!(E::all().count() as u64, E::COUNT);
    }

    check::<ConfigReg>();
    check::<CoreReg>();
    check::<GeneralCsr>();
    check::<AiaCsr>();
    check::<SmstateenCsr>();
    check::<ZicfissCsr>();
    check::<TimerReg>();
    check::<RegNum>();
    check::<FpReg>();
    check::<VectorCsr>();
    check::<IsaExtId>();
    check::<SbiExtId>();
    check::<StaReg>();
    check::<FwftFeature>();
    check::<FwftField>();
    check::<FwftReg>();
    for number in 0..32 {
        let num = RegNum::from_number(number).unwrap();

        assert_eq!(num.index() as u64, number);
    }
}
