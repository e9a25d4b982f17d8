// SPDX-License-Identifier: GPL-2.0

//! Tests of the SBI's numbers and shared arguments.

use kvm_riscv_logic::abi::sbi::{
    spec_version,
    BaseFn,
    CppcFn,
    DbcnFn,
    DbtrFn,
    ExtensionId,
    FenceRange,
    FwftFn,
    HartMask,
    HartState,
    HartSuspendType,
    HsmFn,
    IpiFn,
    Legacy,
    MpxyFn,
    PmuFn,
    ResetReason,
    ResetType,
    RfenceFn,
    SbiError,
    SleepType,
    SrstFn,
    SseFn,
    StaFn,
    Standard,
    SuspFn,
    TimeFn, //
};

/// The extensions whose number is their name in ASCII.
const NAMED: &[(&str, Standard)] = &[
    ("TIME", Standard::Time),
    ("sPI", Standard::Ipi),
    ("RFNC", Standard::Rfence),
    ("HSM", Standard::Hsm),
    ("SRST", Standard::Srst),
    ("PMU", Standard::Pmu),
    ("DBCN", Standard::Dbcn),
    ("SUSP", Standard::Susp),
    ("CPPC", Standard::Cppc),
    ("NACL", Standard::Nacl),
    ("STA", Standard::Sta),
    ("SSE", Standard::Sse),
    ("FWFT", Standard::Fwft),
    ("DBTR", Standard::Dbtr),
    ("MPXY", Standard::Mpxy),
];

#[test]
fn extensions_are_numbered_by_their_names() {
    for &(name, extension) in NAMED {
        let eid = name.bytes().fold(0, |eid, byte| eid << 8 | u64::from(byte));

        assert_eq!(
            ExtensionId::from_eid(eid),
            Some(ExtensionId::Standard(extension)),
            "{name}"
        );
        assert_eq!(ExtensionId::Standard(extension).eid(), eid, "{name}");
    }
    assert_eq!(
        ExtensionId::from_eid(0x10),
        Some(ExtensionId::Standard(Standard::Base))
    );
}

#[test]
fn small_numbers_are_legacy_extensions_or_nothing() {
    let legacy = [
        Legacy::SetTimer,
        Legacy::ConsolePutchar,
        Legacy::ConsoleGetchar,
        Legacy::ClearIpi,
        Legacy::SendIpi,
        Legacy::RemoteFenceI,
        Legacy::RemoteSfenceVma,
        Legacy::RemoteSfenceVmaAsid,
        Legacy::Shutdown,
    ];

    for eid in 0..0x10 {
        let expected = legacy.get(eid).copied().map(ExtensionId::Legacy);

        assert_eq!(ExtensionId::from_eid(eid as u64), expected, "{eid}");
    }
}

#[test]
fn ranges_of_extensions() {
    for (eid, expected) in [
        (0x07ff_ffff, None),
        (0x0800_0000, Some(ExtensionId::Experimental(0))),
        (0x08ff_ffff, Some(ExtensionId::Experimental(0xff_ffff))),
        (0x0900_0000, Some(ExtensionId::Vendor(0))),
        (0x0900_0489, Some(ExtensionId::Vendor(0x489))),
        (0x09ff_ffff, Some(ExtensionId::Vendor(0xff_ffff))),
        (0x0a00_0000, Some(ExtensionId::Firmware(0))),
        (0x0aff_ffff, Some(ExtensionId::Firmware(0xff_ffff))),
        (0x0b00_0000, None),
        (0x1_0800_0000, None),
    ] {
        assert_eq!(ExtensionId::from_eid(eid), expected, "{eid:x}");
        if let Some(extension) = expected {
            assert_eq!(extension.eid(), eid);
        }
    }
}

#[test]
fn the_upper_half_of_an_extension_number_counts() {
    for &(_, extension) in NAMED {
        for high in [1 << 32, 1 << 63, 0xffff_ffff << 32] {
            assert_eq!(ExtensionId::from_eid(high | extension.raw()), None);
        }
    }
}

/// Checks that the values are numbered from zero in the order given, and that no other exists.
macro_rules! assert_numbered {
    ($name:ident: $($variant:ident),* $(,)?) => {
        let values = [$($name::$variant),*];

        for raw in (0..0x100).chain([1 << 32, u64::MAX]) {
            let expected = usize::try_from(raw).ok().and_then(|raw| values.get(raw)).copied();

            assert_eq!($name::from_raw(raw), expected, "{} {raw}", stringify!($name));
            if let Some(value) = expected {
                assert_eq!(value.raw(), raw);
            }
        }
    };
}

#[test]
fn functions_are_numbered_in_the_order_of_the_listings() {
    assert_numbered!(
        BaseFn: GetSpecVersion, GetImplId, GetImplVersion, ProbeExtension, GetMvendorid,
        GetMarchid, GetMimpid,
    );
    assert_numbered!(TimeFn: SetTimer);
    assert_numbered!(IpiFn: SendIpi);
    assert_numbered!(
        RfenceFn: RemoteFenceI, RemoteSfenceVma, RemoteSfenceVmaAsid, RemoteHfenceGvmaVmid,
        RemoteHfenceGvma, RemoteHfenceVvmaAsid, RemoteHfenceVvma,
    );
    assert_numbered!(HsmFn: HartStart, HartStop, HartGetStatus, HartSuspend);
    assert_numbered!(SrstFn: SystemReset);
    assert_numbered!(
        PmuFn: NumCounters, CounterGetInfo, CounterConfigMatching, CounterStart, CounterStop,
        CounterFwRead, CounterFwReadHi, SnapshotSetShmem, EventGetInfo,
    );
    assert_numbered!(DbcnFn: Write, Read, WriteByte);
    assert_numbered!(SuspFn: SystemSuspend);
    assert_numbered!(CppcFn: Probe, Read, ReadHi, Write);
    assert_numbered!(StaFn: SetShmem);
    assert_numbered!(
        SseFn: ReadAttrs, WriteAttrs, Register, Unregister, Enable, Disable, Complete, Inject,
        HartUnmask, HartMask,
    );
    assert_numbered!(FwftFn: Set, Get);
    assert_numbered!(
        DbtrFn: NumTriggers, SetShmem, ReadTriggers, InstallTriggers, UpdateTriggers,
        UninstallTriggers, EnableTriggers, DisableTriggers,
    );
    assert_numbered!(
        MpxyFn: GetShmemSize, SetShmem, GetChannelIds, ReadAttributes, WriteAttributes,
        SendMessageWithResponse, SendMessageWithoutResponse, GetNotificationEvents,
    );
}

#[test]
fn hart_states() {
    assert_numbered!(
        HartState: Started, Stopped, StartPending, StopPending, Suspended, SuspendPending,
        ResumePending,
    );
}

#[test]
fn errors_count_down_from_minus_one() {
    let errors = [
        SbiError::Failed,
        SbiError::NotSupported,
        SbiError::InvalidParam,
        SbiError::Denied,
        SbiError::InvalidAddress,
        SbiError::AlreadyAvailable,
        SbiError::AlreadyStarted,
        SbiError::AlreadyStopped,
        SbiError::NoShmem,
        SbiError::InvalidState,
        SbiError::BadRange,
        SbiError::Timeout,
        SbiError::Io,
        SbiError::DeniedLocked,
    ];

    for (number, error) in (1..).zip(errors) {
        assert_eq!(error as i64, -number);
        assert_eq!(error.raw(), (-number) as u64);
        assert_eq!(SbiError::check(-number), Err(error));
    }
    assert_eq!(SbiError::check(0), Ok(()));
    for undefined in [1, -15, i64::MIN, i64::MAX] {
        assert_eq!(SbiError::check(undefined), Err(SbiError::Failed));
    }
}

#[test]
fn spec_version_fields() {
    assert_eq!(spec_version(0, 2), 0x0000_0002);
    assert_eq!(spec_version(2, 0), 0x0200_0000);
    assert_eq!(spec_version(3, 0), 0x0300_0000);
    // Bits 31 and above are reserved.
    assert_eq!(spec_version(0xff, u32::MAX), 0x7fff_ffff);
}

#[test]
fn hart_suspend_types() {
    for (raw, expected) in [
        (0, Some(HartSuspendType::Retentive)),
        (1, None),
        (0x0fff_ffff, None),
        (
            0x1000_0000,
            Some(HartSuspendType::RetentivePlatform(0x1000_0000)),
        ),
        (
            0x7fff_ffff,
            Some(HartSuspendType::RetentivePlatform(0x7fff_ffff)),
        ),
        (0x8000_0000, Some(HartSuspendType::NonRetentive)),
        (0x8000_0001, None),
        (0x8fff_ffff, None),
        (
            0x9000_0000,
            Some(HartSuspendType::NonRetentivePlatform(0x9000_0000)),
        ),
        (
            u32::MAX,
            Some(HartSuspendType::NonRetentivePlatform(u32::MAX)),
        ),
    ] {
        assert_eq!(HartSuspendType::from_raw(raw), expected, "{raw:x}");
    }
}

#[test]
fn reset_types() {
    for (raw, expected) in [
        (0, Some(ResetType::Shutdown)),
        (1, Some(ResetType::ColdReboot)),
        (2, Some(ResetType::WarmReboot)),
        (3, None),
        (0xefff_ffff, None),
        (0xf000_0000, Some(ResetType::Platform(0xf000_0000))),
        (u32::MAX, Some(ResetType::Platform(u32::MAX))),
    ] {
        assert_eq!(ResetType::from_raw(raw), expected, "{raw:x}");
    }
}

#[test]
fn reset_reasons() {
    for (raw, expected) in [
        (0, Some(ResetReason::NoReason)),
        (1, Some(ResetReason::SystemFailure)),
        (2, None),
        (0xdfff_ffff, None),
        (0xe000_0000, Some(ResetReason::Implementation(0xe000_0000))),
        (0xefff_ffff, Some(ResetReason::Implementation(0xefff_ffff))),
        (0xf000_0000, Some(ResetReason::Platform(0xf000_0000))),
        (u32::MAX, Some(ResetReason::Platform(u32::MAX))),
    ] {
        assert_eq!(ResetReason::from_raw(raw), expected, "{raw:x}");
    }
}

#[test]
fn sleep_types() {
    for (raw, expected) in [
        (0, Some(SleepType::SuspendToRam)),
        (1, None),
        (0x7fff_ffff, None),
        (0x8000_0000, Some(SleepType::Platform(0x8000_0000))),
        (u32::MAX, Some(SleepType::Platform(u32::MAX))),
    ] {
        assert_eq!(SleepType::from_raw(raw), expected, "{raw:x}");
    }
}

/// Numbers around the ends of a word and of the address space.
fn numbers() -> Vec<u64> {
    let around = |n: u64| [n.wrapping_sub(2), n.wrapping_sub(1), n, n.wrapping_add(1)];

    [0, 2, 62, 64, 66, 126, 128, 1 << 12, 1 << 32, 1 << 63]
        .into_iter()
        .flat_map(|n: u64| [n, n.wrapping_neg()])
        .flat_map(around)
        .collect()
}

#[test]
fn a_hart_mask_holds_the_harts_whose_bit_is_set() {
    let masks = [
        0,
        1,
        1 << 63,
        1 << 31,
        0x8000_0000_0000_0001,
        0xdead_beef,
        u64::MAX,
    ];

    for mask in masks {
        for base in numbers() {
            let harts = HartMask::new(mask, base);

            for hartid in numbers() {
                let expected = base == u64::MAX
                    || (0..64).any(|bit| {
                        mask & 1 << bit != 0 && u128::from(base) + bit == u128::from(hartid)
                    });

                assert_eq!(
                    harts.contains(hartid),
                    expected,
                    "{mask:x} {base:x} {hartid:x}"
                );
            }
        }
    }
}

#[test]
fn every_bit_of_a_hart_mask() {
    for base in [0, 1, 1000, u64::MAX - 64] {
        for bit in 0..64 {
            let harts = HartMask::new(1 << bit, base);
            let found: Vec<u64> = (0..64).filter(|n| harts.contains(base + n)).collect();

            assert_eq!(found, [bit]);
            assert_eq!(harts.count(), Some(1));
            assert!(!harts.contains(base + 64));
        }
    }
}

#[test]
fn the_mask_of_all_harts() {
    for mask in [0, 1, u64::MAX] {
        let harts = HartMask::new(mask, u64::MAX);

        assert!(harts.is_all());
        assert_eq!(harts.count(), None);
        assert!(numbers().into_iter().all(|hartid| harts.contains(hartid)));
    }
    assert!(HartMask::all().is_all());
    assert!(!HartMask::new(u64::MAX, 0).is_all());
    assert_eq!(HartMask::new(u64::MAX, 0).count(), Some(64));
    for named in 0..=64 {
        let mask = u64::MAX.checked_shl(named).unwrap_or(0);
        for harts in [HartMask::new(!mask, 1), HartMask::new(mask, 1)] {
            let count = harts.count().unwrap() as usize;
            for n in 0..=64 {
                assert_eq!(harts.names_at_most(n), count <= n, "{harts:?} {n}");
            }
        }
    }
    assert!(!HartMask::new(0, u64::MAX).names_at_most(64));
    assert!(!HartMask::all().names_at_most(64));
    assert_eq!(HartMask::new(0, 0).count(), Some(0));
}

#[test]
fn fence_ranges() {
    for start in numbers() {
        for size in numbers() {
            let all = (start == 0 && size == 0) || size == u64::MAX;
            let fits = u128::from(start) + u128::from(size) <= 1 << 64;
            let expected = match (all, fits) {
                (true, _) => Some(FenceRange::All),
                (false, true) => Some(FenceRange::Span { start, size }),
                (false, false) => None,
            };

            assert_eq!(FenceRange::new(start, size), expected, "{start:x} {size:x}");
        }
    }
}

#[test]
fn a_hart_mask_lists_what_it_contains() {
    for mask in [0, 1, 1 << 63, 0x8000_0000_0000_0101, u64::MAX] {
        for base in numbers() {
            let harts = HartMask::new(mask, base);
            let listed: Vec<u64> = harts.iter().collect();
            if harts.is_all() {
                assert!(listed.is_empty());
                continue;
            }
            assert_eq!(listed.len(), mask.count_ones() as usize);
            for hartid in listed.iter().filter(|hartid| **hartid != u64::MAX) {
                assert!(harts.contains(*hartid), "{mask:x} {base:x} {hartid:x}");
                assert_eq!(harts.is_only(*hartid), mask.is_power_of_two());
            }
        }
    }
    assert!(!HartMask::all().is_only(0));
    assert!(!HartMask::new(1, u64::MAX).is_only(u64::MAX));
    assert!(!HartMask::new(1, 1).is_only(0));
    assert!(!HartMask::new(1, 0).is_only(64));
}
