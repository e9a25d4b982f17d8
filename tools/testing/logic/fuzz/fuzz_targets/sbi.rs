// SPDX-License-Identifier: GPL-2.0

//! Fuzzes the decoding of SBI arguments.

#![no_main]

use kvm_riscv_logic::abi::sbi::{
    ExtensionId,
    FenceRange,
    HartMask,
    HartSuspendType,
    ResetReason,
    ResetType,
    SbiError,
    SleepType, //
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u64, u64, u64)| {
    let (a0, a1, a2) = input;

    for eid in [a0, a0 & 0x0fff_ffff, a0 & 0xf] {
        if let Some(extension) = ExtensionId::from_eid(eid) {
            assert_eq!(extension.eid(), eid);
        }
    }
    if let Err(error) = SbiError::check(a0 as i64) {
        assert_eq!(SbiError::check(error.raw() as i64), Err(error));
    }

    let harts = HartMask::new(a0, a1);
    for hartid in [a2, a1.wrapping_add(a2 & 0x7f), a1.wrapping_sub(a2 & 0x7f)] {
        let bit = i128::from(hartid) - i128::from(a1);
        let named = (0..64).contains(&bit) && a0 >> bit & 1 != 0;

        assert_eq!(harts.contains(hartid), named || a1 == u64::MAX);
    }
    assert_eq!(harts.count().is_none(), harts.is_all());

    match FenceRange::new(a0, a1) {
        Some(FenceRange::All) => assert!(a1 == u64::MAX || (a0, a1) == (0, 0)),
        Some(FenceRange::Span { start, size }) => {
            assert_eq!((start, size), (a0, a1));
            assert!(u128::from(start) + u128::from(size) <= 1 << 64);
        }
        None => assert!(u128::from(a0) + u128::from(a1) > 1 << 64),
    }

    let raw = a0 as u32;
    if let Some(HartSuspendType::RetentivePlatform(kept)) = HartSuspendType::from_raw(raw) {
        assert!(kept == raw && raw >> 31 == 0);
    }
    if let Some(ResetType::Platform(kept)) = ResetType::from_raw(raw) {
        assert!(kept == raw && raw >> 28 == 0xf);
    }
    if let Some(ResetReason::Implementation(kept)) = ResetReason::from_raw(raw) {
        assert!(kept == raw && raw >> 28 == 0xe);
    }
    if let Some(SleepType::Platform(kept)) = SleepType::from_raw(raw) {
        assert!(kept == raw && raw >> 31 == 1);
    }
});
