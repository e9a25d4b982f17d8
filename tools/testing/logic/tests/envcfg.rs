// SPDX-License-Identifier: GPL-2.0

//! Tests of the features of the hart that a guest gets.

use kvm_riscv_logic::abi::{
    envcfg::Henvcfg,
    one_reg::{
        IsaExtId,
        Numbered, //
    },
};

fn henvcfg(exts: &[IsaExtId]) -> u64 {
    Henvcfg::of(|ext| exts.contains(&ext)).into_raw()
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
