// SPDX-License-Identifier: GPL-2.0

//! Tests of the features of the hart that a guest gets.

use kvm_riscv_logic::abi::{
    envcfg::{
        self,
        Henvcfg, //
    },
    fwft::{
        Fwft,
        Host, //
    },
    one_reg::{
        FwftFeature,
        IsaExtId,
        Numbered, //
    },
};

fn henvcfg(exts: &[IsaExtId]) -> u64 {
    henvcfg_with(&Fwft::NEW, exts)
}

fn henvcfg_with(features: &Fwft, exts: &[IsaExtId]) -> u64 {
    Henvcfg::of(features, |ext| exts.contains(&ext)).into_raw()
}

fn with(feature: FwftFeature, value: u64) -> Fwft {
    let host = Host {
        delegates_misaligned: true,
        pmlens: 1 << 7 | 1 << 16,
    };
    let mut features = Fwft::NEW;
    features.set(&host, feature, value, 0).unwrap();
    features
}

/// What the guest's kernel has set shows only if the guest has the extension.
#[test]
fn features_have_their_bits() {
    for (feature, value, exts, bits) in [
        (FwftFeature::MisalignedDeleg, 1, vec![], 0),
        (FwftFeature::LandingPad, 1, vec![IsaExtId::Zicfilp], 1 << 2),
        (FwftFeature::ShadowStack, 1, vec![IsaExtId::Zicfiss], 1 << 3),
        (
            FwftFeature::PointerMasking,
            7,
            vec![IsaExtId::Smnpm],
            2 << 32,
        ),
        (
            FwftFeature::PointerMasking,
            16,
            vec![IsaExtId::Smnpm],
            3 << 32,
        ),
        (
            FwftFeature::PteAdHwUpdating,
            1,
            vec![IsaExtId::Svadu, IsaExtId::Svade],
            1 << 61,
        ),
    ] {
        let features = with(feature, value);

        assert_eq!(henvcfg_with(&features, &exts), bits, "{feature:?}");
        assert_eq!(henvcfg(&exts), 0, "{feature:?}");
        assert_eq!(henvcfg_with(&features, &[]), 0, "{feature:?}");
    }
}

#[test]
fn software_is_checked_by_landing_pads_and_shadow_stacks() {
    for (feature, ext) in [
        (FwftFeature::LandingPad, IsaExtId::Zicfilp),
        (FwftFeature::ShadowStack, IsaExtId::Zicfiss),
    ] {
        let henvcfg = Henvcfg::of(&with(feature, 1), |has| has == ext);

        assert!(henvcfg.checks_software());
    }
    assert!(!Henvcfg::of(&Fwft::NEW, |_| true).checks_software());
}

#[test]
fn each_extension_has_its_bits() {
    for ext in IsaExtId::all() {
        let expected = match ext {
            IsaExtId::Zicbom => 1 << 6 | 1 << 4,
            IsaExtId::Zicboz => 1 << 7,
            IsaExtId::Svadu => 1 << 61,
            IsaExtId::Svpbmt => 1 << 62,
            IsaExtId::Sstc => 1 << 63,
            _ => 0,
        };

        assert_eq!(henvcfg(&[ext]), expected, "{ext:?}");
    }
}

/// `CBIE` is 1, a flush, and not 3, an invalidation, which discards what the host has written.
#[test]
fn cbo_inval_flushes() {
    let all: Vec<_> = IsaExtId::all().collect();

    for exts in [&all[..], &[IsaExtId::Zicbom]] {
        assert_eq!(henvcfg(exts) >> 4 & 3, 1);
    }
    let others: Vec<_> = IsaExtId::all()
        .filter(|ext| *ext != IsaExtId::Zicbom)
        .collect();
    assert_eq!(henvcfg(&others) >> 4 & 3, 0);
}

#[test]
fn svade_wins_over_svadu() {
    assert_eq!(henvcfg(&[IsaExtId::Svadu, IsaExtId::Svade]), 0);
    assert_eq!(henvcfg(&[IsaExtId::Svade]), 0);
}

const USER: [IsaExtId; 3] = [IsaExtId::Zicbom, IsaExtId::Zicboz, IsaExtId::Ssnpm];

fn senvcfg(value: u64, exts: &[IsaExtId]) -> u64 {
    envcfg::senvcfg(value, |ext| exts.contains(&ext))
}

/// Values with each bit alone, pairs of neighbours, and everything.
fn values() -> impl Iterator<Item = u64> {
    (0..64)
        .map(|bit| 1 << bit)
        .chain((0..63).map(|bit| 3 << bit))
        .chain([0, u64::MAX, 0x5555_5555_5555_5555, 0xaaaa_aaaa_aaaa_aaaa])
}

#[test]
fn senvcfg_has_the_fields_of_the_extensions() {
    assert_eq!(senvcfg(u64::MAX, &[]), 1);
    assert_eq!(senvcfg(u64::MAX, &[IsaExtId::Zicbom]), 0x71);
    assert_eq!(senvcfg(u64::MAX, &[IsaExtId::Zicboz]), 0x81);
    assert_eq!(senvcfg(u64::MAX, &[IsaExtId::Ssnpm]), 3 << 32 | 1);
    assert_eq!(senvcfg(u64::MAX, &USER), 3 << 32 | 0xf1);
}

#[test]
fn senvcfg_has_no_reserved_value() {
    for value in values() {
        let legal = senvcfg(value, &USER);
        assert_ne!(legal >> 4 & 3, 2, "{value:#x}");
        assert_ne!(legal >> 32 & 3, 1, "{value:#x}");
    }
    assert_eq!(senvcfg(1 << 4, &USER), 1 << 4);
    assert_eq!(senvcfg(2 << 32, &USER), 2 << 32);
}

#[test]
fn legal_values_of_senvcfg_stay() {
    for value in values() {
        assert_eq!(senvcfg(senvcfg(value, &USER), &USER), senvcfg(value, &USER));
    }
}
