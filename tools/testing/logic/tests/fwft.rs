// SPDX-License-Identifier: GPL-2.0

//! Tests of the firmware features of a guest.

use kvm_riscv_logic::abi::{
    fwft::{
        Fwft,
        Host, //
    },
    one_reg::{
        FwftFeature,
        FwftField,
        FwftReg,
        IsaExtId,
        Numbered, //
    },
    sbi::SbiError, //
};

const LOCK: u64 = 1;

const HOST: Host = Host {
    delegates_misaligned: true,
    pmlens: 1 << 7,
};

fn reg(feature: FwftFeature, field: FwftField) -> FwftReg {
    FwftReg { feature, field }
}

#[test]
fn a_feature_needs_its_extensions() {
    use FwftFeature::*;
    use IsaExtId::*;

    for (feature, exts) in [
        (PointerMasking, vec![Smnpm]),
        (PteAdHwUpdating, vec![Svade, Svadu]),
        (LandingPad, vec![Zicfilp]),
        (ShadowStack, vec![Zicfiss]),
    ] {
        assert!(HOST.supports(feature, |ext| exts.contains(&ext)));
        for missing in &exts {
            assert!(
                !HOST.supports(feature, |ext| ext != *missing),
                "{feature:?}"
            );
        }
    }
    assert!(HOST.supports(MisalignedDeleg, |_| false));
}

#[test]
fn a_feature_needs_the_host() {
    let host = Host {
        delegates_misaligned: false,
        pmlens: 0,
    };
    for feature in FwftFeature::all() {
        let lacks = matches!(
            feature,
            FwftFeature::MisalignedDeleg | FwftFeature::PointerMasking
        );

        assert_eq!(host.supports(feature, |_| true), !lacks, "{feature:?}");
    }
}

#[test]
fn values_are_those_of_the_specification() {
    for feature in FwftFeature::all() {
        for value in (0..300).chain([1 << 8, 1 << 32, 7 << 32, 1 << 63, u64::MAX]) {
            let is_legal = match feature {
                FwftFeature::PointerMasking => value == 0 || value == 7,
                _ => value <= 1,
            };
            let mut fwft = Fwft::NEW;
            let result = fwft.set(&HOST, feature, value, 0);

            if is_legal {
                assert_eq!(result, Ok(()));
                assert_eq!(fwft.value(feature), value);
            } else {
                assert_eq!(result, Err(SbiError::InvalidParam));
                assert_eq!(fwft, Fwft::NEW);
            }
            let mut restored = Fwft::NEW;
            let written = restored.write(&HOST, reg(feature, FwftField::Value), value);
            assert_eq!(written.is_some(), is_legal);
            assert_eq!(restored, fwft);
        }
    }
}

#[test]
fn flags_come_before_the_lock_and_the_lock_before_the_value() {
    let feature = FwftFeature::ShadowStack;
    let mut fwft = Fwft::NEW;

    for flags in [2, 3, 1 << 32, u64::MAX] {
        assert_eq!(
            fwft.set(&HOST, feature, 1, flags),
            Err(SbiError::InvalidParam)
        );
    }
    assert_eq!(fwft, Fwft::NEW);
    assert_eq!(fwft.set(&HOST, feature, 1, LOCK), Ok(()));
    for value in [0, 1, 2] {
        assert_eq!(
            fwft.set(&HOST, feature, value, 0),
            Err(SbiError::DeniedLocked)
        );
        assert_eq!(
            fwft.set(&HOST, feature, value, 2),
            Err(SbiError::InvalidParam)
        );
    }
    assert!(fwft.is_on(feature));
    // Others are not locked.
    assert_eq!(fwft.set(&HOST, FwftFeature::LandingPad, 1, 0), Ok(()));
}

/// A call that fails locks nothing.
#[test]
fn a_wrong_value_is_not_locked() {
    let mut fwft = Fwft::NEW;

    for feature in FwftFeature::all() {
        assert!(fwft.set(&HOST, feature, 2, LOCK).is_err());
        assert_eq!(fwft.set(&HOST, feature, 0, 0), Ok(()));
    }
}

#[test]
fn a_reset_unlocks_and_keeps_what_user_space_has_taken_away() {
    for feature in FwftFeature::all() {
        let mut fwft = Fwft::NEW;
        fwft.set(
            &HOST,
            feature,
            if feature == FwftFeature::PointerMasking {
                7
            } else {
                1
            },
            LOCK,
        )
        .unwrap();
        fwft.write(&HOST, reg(feature, FwftField::Enable), 0)
            .unwrap();
        let fwft = fwft.after_reset();

        assert_eq!(fwft.value(feature), 0);
        assert_eq!(fwft.read(reg(feature, FwftField::Flags)), 0);
        assert!(!fwft.is_enabled(feature));
        for other in FwftFeature::all() {
            assert_eq!(fwft.is_enabled(other), other != feature);
        }
    }
}

#[test]
fn user_space_restores_what_it_has_read() {
    let mut fwft = Fwft::NEW;
    fwft.set(&HOST, FwftFeature::PointerMasking, 7, LOCK)
        .unwrap();
    fwft.set(&HOST, FwftFeature::MisalignedDeleg, 1, 0).unwrap();
    fwft.write(&HOST, reg(FwftFeature::LandingPad, FwftField::Enable), 0)
        .unwrap();

    // In either order: user space may change what is locked.
    let forward: Vec<_> = FwftReg::all().collect();
    let backward: Vec<_> = forward.iter().rev().copied().collect();
    for order in [forward, backward] {
        let mut restored = Fwft::NEW;
        for reg in order {
            restored.write(&HOST, reg, fwft.read(reg)).unwrap();
        }
        assert_eq!(restored, fwft);
    }
}

#[test]
fn other_values_of_a_register_are_refused() {
    let mut fwft = Fwft::NEW;

    for feature in FwftFeature::all() {
        for value in [2, 1 << 32, u64::MAX] {
            let enable = reg(feature, FwftField::Enable);
            assert_eq!(fwft.write(&HOST, enable, value), None);
        }
        // Flags that are not known are dropped.
        let flags = reg(feature, FwftField::Flags);
        assert_eq!(fwft.write(&HOST, flags, u64::MAX), Some(()));
        assert_eq!(fwft.read(flags), LOCK);
        assert_eq!(fwft.write(&HOST, flags, !LOCK), Some(()));
        assert_eq!(fwft.read(flags), 0);
    }
    assert_eq!(fwft, Fwft::NEW);
}
