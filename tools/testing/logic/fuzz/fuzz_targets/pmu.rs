// SPDX-License-Identifier: GPL-2.0

//! Fuzzes what a guest gives its PMU: sets of counters, events, and flags.

#![no_main]

use kvm_riscv_logic::abi::pmu::*;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u32, u32, u64, u64, [u8; EventInfo::SIZE], u64)| {
    let (count, bits, a0, a1, bytes, used) = input;
    let Some(counters) = Counters::new(count, bits) else {
        assert!(count == 0 || bits == 0 || bits > 64);
        return;
    };
    assert!(counters.count() <= 64);

    if let Some(counter) = counters.get(a0) {
        assert!(u64::from(counters.index(counter)) == a0 && a0 != u64::from(TIME));
        assert!((1..=64).contains(&counters.bits(counter)));
        assert_ne!(counters.info(counter), 0);
    }

    let event = Event::new(a0, a1);
    if let Ok(set) = counters.set(a0, a1) {
        for (distance, counter) in set.iter() {
            assert!(a1 >> distance & 1 != 0);
            assert_eq!(u64::from(counters.index(counter)), a0 + u64::from(distance));
        }
        for event in event.into_iter().chain(Event::new(a1 & 0xf_ffff, a0)) {
            let is_free = |counter| used >> counters.index(counter) & 1 == 0;
            let in_set = |chosen| set.iter().any(|(_, counter)| counter == chosen);
            for chosen in set.choose(event, is_free).into_iter() {
                assert!(is_free(chosen) && in_set(chosen));
            }
            assert!(set.first_for(event).is_none_or(in_set));
        }
    }
    if let Some(Event::Raw(config)) = event {
        assert!(config < 1 << 56);
    }

    let _ = EventInfo { bytes }.event();
    assert_eq!(ConfigFlags::new(a0).is_some(), a0 < 1 << 8);
    assert_eq!(StopFlags::new(a0).is_some(), a0 < 4);
    assert_eq!(StartValue::from_flags(a0).is_some(), a0 < 3);
    if let Some(snapshot) = Snapshot::new(a0) {
        let last = snapshot.value(used as u32) + 7;
        assert!(last - a0 < Snapshot::SIZE as u64);
    }
});
