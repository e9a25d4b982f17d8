// SPDX-License-Identifier: GPL-2.0

//! Tests of the performance monitoring unit that a guest has through its SBI.

use kvm_riscv_logic::abi::{
    pmu::*,
    sbi::{
        FirmwareEvent,
        SbiError, //
    },
};

/// Those of a hart with 4 programmable counters of 48 bits.
fn counters() -> Counters {
    Counters::new(6, 48).unwrap()
}

const FIRST_FIRMWARE: u64 = 7;
const COUNT: u64 = FIRST_FIRMWARE + 22;

fn general(code: u64) -> Event {
    Event::new(code, 0).unwrap()
}

fn firmware(code: u64) -> Event {
    Event::new(0xf_0000 | code, 0).unwrap()
}

#[test]
fn counters_of_the_firmware_follow_those_of_the_hardware() {
    let counters = counters();
    assert_eq!(u64::from(counters.count()), COUNT);
    for index in 0..COUNT {
        let expected = match index {
            1 => None,
            0..FIRST_FIRMWARE => Some(Counter::Hardware(index as u32)),
            _ => Some(Counter::Firmware((index - FIRST_FIRMWARE) as u32)),
        };
        assert_eq!(counters.get(index), expected, "{index}");
        if let Some(counter) = expected {
            assert_eq!(u64::from(counters.index(counter)), index);
        }
        let hardware = expected.filter(|_| index < FIRST_FIRMWARE);
        assert_eq!(counters.hardware(index), hardware, "{index}");
    }
    for index in [COUNT, 64, 1 << 32, 1 << 63, u64::MAX] {
        assert_eq!(counters.get(index), None, "{index}");
    }
}

#[test]
fn some_hosts_have_none() {
    for (count, bits) in [(0, 48), (6, 0), (6, 65)] {
        assert_eq!(Counters::new(count, bits), None);
    }
    // There are 32 CSRs at most.
    for count in [31, 32, 64, u32::MAX] {
        assert_eq!(Counters::new(count, 64).unwrap().count(), 32 + 22);
    }
}

#[test]
fn info_has_the_csr_and_the_width() {
    let counters = counters();
    let info = |index| counters.info(counters.get(index).unwrap());
    assert_eq!(info(0), 63 << 12 | 0xc00);
    assert_eq!(info(2), 63 << 12 | 0xc02);
    assert_eq!(info(3), 47 << 12 | 0xc03);
    assert_eq!(info(6), 47 << 12 | 0xc06);
    assert_eq!(info(FIRST_FIRMWARE), 1 << 63 | 63 << 12);
    assert_eq!(info(COUNT - 1), 1 << 63 | 63 << 12);
}

#[test]
fn a_set_has_no_counter_that_does_not_exist() {
    let counters = counters();
    for (base, mask) in [
        (0, 0),
        (COUNT, 1),
        (0, 1 << COUNT),
        (1, 1 << (COUNT - 1)),
        (0, u64::MAX),
        (u64::MAX, 1),
        (u64::MAX, 3),
        (u64::MAX - 62, u64::MAX),
    ] {
        let error = counters.set(base, mask).err();
        assert_eq!(error, Some(SbiError::InvalidParam), "{base:#x} {mask:#x}");
    }
    let set = counters.set(1, 1 << (COUNT - 2) | 7).unwrap();
    let indices: Vec<_> = set
        .iter()
        .map(|(bit, counter)| (bit, counters.index(counter)))
        .collect();
    // The index of `time` is left out.
    assert_eq!(indices, [(1, 2), (2, 3), (27, 28)]);
}

#[test]
fn a_counter_is_chosen_that_can_count_the_event() {
    let counters = counters();
    let all = counters.set(0, (1 << COUNT) - 1).unwrap();
    let chosen = |event, used: &[u32]| {
        all.choose(event, |counter| !used.contains(&counters.index(counter)))
            .map(|counter| counters.index(counter))
    };
    let (cycles, instructions, other) = (general(1), general(2), general(3));
    assert_eq!(chosen(cycles, &[]), Some(0));
    assert_eq!(chosen(cycles, &[0]), Some(3));
    assert_eq!(chosen(instructions, &[]), Some(2));
    assert_eq!(chosen(instructions, &[0, 2, 3, 4]), Some(5));
    assert_eq!(chosen(other, &[]), Some(3));
    assert_eq!(chosen(other, &[3, 4, 5, 6]), None);
    assert_eq!(chosen(firmware(0), &[]), Some(7));
    assert_eq!(chosen(firmware(0), &[7, 8]), Some(9));
    assert_eq!(chosen(Event::new(0x2_0000, 5).unwrap(), &[3]), Some(4));

    let first = |base, mask, event| counters.set(base, mask).unwrap().first_for(event);
    assert_eq!(first(0, 0b1100, instructions), Some(Counter::Hardware(2)));
    assert_eq!(first(0, 0b1101, instructions), None);
    assert_eq!(first(0, 0b1010, instructions), Some(Counter::Hardware(3)));
    assert_eq!(first(0, 0b0010, instructions), None);
    assert_eq!(first(5, 0b0100, firmware(3)), Some(Counter::Firmware(0)));
    assert_eq!(first(5, 0b0100, cycles), None);
}

/// The numbers of `include/uapi/linux/perf_event.h`.
#[test]
fn events_have_their_numbers_in_perf() {
    for code in 1..=10 {
        match general(code) {
            Event::General(event) => assert_eq!(event.perf_config(), code - 1),
            event => panic!("{event:?}"),
        }
    }
    for (cache, op, result) in [(0, 0, 0), (6, 2, 1), (3, 1, 0)] {
        match Event::new(1 << 16 | cache << 3 | op << 1 | result, 0) {
            Some(Event::Cache(event)) => {
                assert_eq!(event.perf_config(), cache | op << 8 | result << 16);
            }
            event => panic!("{event:?}"),
        }
    }
}

#[test]
fn events_that_are_none() {
    for idx in [
        0,
        11,
        0xffff,
        0x1_0000 | 7 << 3,
        0x1_0000 | 3 << 1,
        0x1_ffff,
        0x2_0001,
        0x3_0001,
        0x4_0000,
        0xe_0000,
        0xf_0016,
        0xf_0100,
        0xf_ffff,
        0x10_0001,
        1 << 32 | 1,
        u64::MAX,
    ] {
        assert_eq!(Event::new(idx, 0), None, "{idx:#x}");
    }
}

#[test]
fn raw_events_lose_what_the_firmware_decides() {
    assert_eq!(
        Event::new(0x2_0000, u64::MAX),
        Some(Event::Raw((1 << 48) - 1))
    );
    assert_eq!(
        Event::new(0x3_0000, u64::MAX),
        Some(Event::Raw((1 << 56) - 1))
    );
    assert_eq!(
        Event::new(0xf_0005, u64::MAX),
        Some(Event::Firmware(FirmwareEvent::SetTimer))
    );
}

#[test]
fn flags_that_are_reserved() {
    for bit in 0..64 {
        assert_eq!(ConfigFlags::new(1 << bit).is_some(), bit < 8);
        assert_eq!(StartValue::from_flags(1 << bit).is_some(), bit < 2);
        assert_eq!(StopFlags::new(1 << bit).is_some(), bit < 2);
    }
    assert_eq!(StartValue::from_flags(0), Some(StartValue::Current));
    assert_eq!(StartValue::from_flags(1), Some(StartValue::Argument));
    assert_eq!(StartValue::from_flags(2), Some(StartValue::Snapshot));
    assert_eq!(StartValue::from_flags(3), None);
    for (flags, resets, saves) in [
        (0, false, false),
        (1, true, false),
        (2, false, true),
        (3, true, true),
    ] {
        assert_eq!(StopFlags::new(flags), Some(StopFlags { resets, saves }));
    }
}

#[test]
fn flags_of_a_configuration() {
    let flags = |bits| ConfigFlags::new(bits).unwrap();
    assert!(flags(1 << 0).skips_match() && !flags(!(1 << 0) & 0xff).skips_match());
    assert!(flags(1 << 1).clears_value() && !flags(!(1 << 1) & 0xff).clears_value());
    assert!(flags(1 << 2).starts() && !flags(!(1 << 2) & 0xff).starts());
    assert!(flags(1 << 5).excludes_user() && !flags(!(1 << 5) & 0xff).excludes_user());
    assert!(flags(1 << 6).excludes_kernel() && !flags(!(1 << 6) & 0xff).excludes_kernel());
}

#[test]
fn a_snapshot_is_a_page() {
    for address in [1, 8, 2048, 4095, u64::MAX] {
        assert_eq!(Snapshot::new(address), None);
    }
    let snapshot = Snapshot::new(0x1000).unwrap();
    assert_eq!(snapshot.address(), 0x1000);
    assert_eq!(snapshot.value(0), 0x1008);
    assert_eq!(snapshot.value(63), 0x1200);
    // The last page does not wrap around.
    assert_eq!(Snapshot::new(!0xfff).unwrap().value(63), !0xfff + 0x200);
}

#[test]
fn info_about_an_event() {
    let entry = |idx: u32, data: u64| {
        let mut bytes = [0xff; EventInfo::SIZE];
        bytes[..4].copy_from_slice(&idx.to_le_bytes());
        bytes[8..].copy_from_slice(&data.to_le_bytes());
        EventInfo { bytes }.event()
    };
    assert_eq!(entry(1, 0), Ok(Some(general(1))));
    assert_eq!(entry(11, 0), Ok(None));
    assert_eq!(
        entry(0x3_0000, 0x12_3456_789a_bcde),
        Ok(Some(Event::Raw(0x12_3456_789a_bcde)))
    );
    for bit in 20..32 {
        assert_eq!(entry(1 | 1 << bit, 0), Err(SbiError::InvalidParam));
    }
}
