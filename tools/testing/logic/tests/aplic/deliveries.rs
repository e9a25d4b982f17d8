// SPDX-License-Identifier: GPL-2.0

//! When messages are sent, and which.

use kvm_riscv_logic::{
    abi::aia::{
        GuestIndex,
        HartIndex,
        Identity, //
    },
    aia::aplic::Batch, //
};

use super::*;
use Level::{High, Low};

const TARGET: u32 = 0x2abc << 18 | 0x2d << 12 | 0x4d2;

#[test]
fn a_message_has_the_fields_of_its_target() {
    let mut aplic = Aplic::with(9, EDGE1);
    assert_eq!(aplic.write(target(9), TARGET), []);
    let deliveries = aplic.start(SETIPNUM, 9);
    assert!(!deliveries.is_empty());
    let expected = Msi {
        hart: HartIndex(0x2abc),
        guest: GuestIndex(0),
        identity: Identity::new(0x4d2).unwrap(),
    };
    assert_eq!(aplic.drain(deliveries), [expected]);
    assert!(!aplic.is_pending(9));
}

#[test]
fn each_edge_is_delivered_once() {
    for (mode, idle, asserted) in [(EDGE1, Low, High), (EDGE0, High, Low)] {
        let mut aplic = Aplic::new(1023);
        assert_eq!(aplic.wire(9, idle), []);
        aplic.activate(9, mode);
        assert_eq!(aplic.write(DOMAINCFG, IE), []);
        for _ in 0..3 {
            assert_eq!(aplic.wire(9, asserted), [9]);
            assert_eq!(aplic.wire(9, asserted), []);
            assert_eq!(aplic.wire(9, idle), []);
        }
    }
}

/// Section 4.9.2.
#[test]
fn a_level_is_delivered_again_only_if_it_is_asked_for() {
    let mut aplic = Aplic::with(9, LEVEL1);
    assert_eq!(aplic.wire(9, High), [9]);
    assert!(!aplic.is_pending(9) && aplic.rectified(9));
    assert_eq!(aplic.wire(9, High), []);
    assert_eq!(aplic.write(SETIPNUM, 9), [9]);
    assert_eq!(aplic.wire(9, Low), []);
    assert_eq!(aplic.write(SETIPNUM, 9), []);
    assert_eq!(aplic.wire(9, High), [9]);
}

#[test]
fn whatever_comes_last_delivers() {
    let steps: [(u64, u32); 4] = [
        (DOMAINCFG, IE),
        (target(9), 9),
        (setie(0), 1 << 9),
        (setip(0), 1 << 9),
    ];
    for last in 0..steps.len() {
        let mut aplic = Aplic::new(20);
        assert_eq!(aplic.write(sourcecfg(9), DETACHED), []);
        for (i, (offset, value)) in steps.iter().enumerate() {
            if i != last {
                assert_eq!(aplic.write(*offset, *value), []);
            }
        }
        let (offset, value) = steps[last];
        assert_eq!(aplic.write(offset, value), [9]);
        assert!(!aplic.is_pending(9));
        assert_eq!(
            aplic.write(offset, value),
            if last == 3 { &[9][..] } else { &[] }
        );
    }
}

#[test]
fn nothing_is_delivered_that_is_not_wanted() {
    let mut aplic = Aplic::with(9, DETACHED);
    assert_eq!(aplic.write(CLRIENUM, 9), []);
    assert_eq!(aplic.write(SETIPNUM, 9), []);
    assert!(aplic.is_pending(9));
    assert_eq!(aplic.write(DOMAINCFG, 0), []);
    assert_eq!(aplic.write(SETIENUM, 9), []);
    assert!(aplic.is_pending(9));
    assert_eq!(aplic.write(CLRIPNUM, 9), []);
    assert_eq!(aplic.write(DOMAINCFG, IE), []);
    assert!(!aplic.is_pending(9));
}

#[test]
fn a_source_without_an_identity_keeps_its_interrupt() {
    let mut aplic = Aplic::with(9, EDGE1);
    assert_eq!(aplic.write(target(9), 5 << 18), []);
    assert_eq!(aplic.wire(9, High), []);
    assert_eq!(aplic.write(DOMAINCFG, IE), []);
    assert!(aplic.is_pending(9));
    assert_eq!(aplic.write(target(9), 5 << 18 | 1), [5 << 18 | 1]);
}

#[test]
fn genmsi_sends_what_is_written_even_if_nothing_else_is_delivered() {
    let mut aplic = Aplic::new(3);
    assert_eq!(aplic.write(GENMSI, TARGET), [TARGET & !(0x3f << 12)]);
    assert_eq!(aplic.read(GENMSI), TARGET & !(0x3f << 12));
    assert_eq!(aplic.write(GENMSI, !0), [0xfffc_07ff]);
    assert_eq!(aplic.read(GENMSI), 0xfffc_07ff);
    // Zero is no identity.
    assert_eq!(aplic.write(GENMSI, 0xfffc_0000), []);
    assert_eq!(aplic.read(GENMSI), 0xfffc_0000);
}

/// Returns a domain in which all sources of all words are pending and enabled.
fn all_pending() -> Aplic {
    let mut aplic = Aplic::new(1023);
    for source in 1..=1023 {
        aplic.activate(source, DETACHED);
    }
    for word in 0..32 {
        assert_eq!(aplic.write(setip(word), !0), []);
    }
    aplic
}

#[test]
fn many_messages_come_in_batches() {
    let mut aplic = all_pending();
    let mut deliveries = aplic.start(DOMAINCFG, IE);
    let mut next = 1..=1023_u32;
    while let Some(batch) = aplic.0.take(&mut deliveries) {
        let msis: Vec<_> = batch.iter().collect();
        assert!(msis.len() <= Batch::MAX);
        assert!(!msis.is_empty());
        for number in raw(&msis) {
            assert_eq!(Some(number), next.next());
        }
    }
    assert_eq!(next.next(), None);
    assert!((0..32).all(|word| aplic.read(setip(word)) == 0));
}

#[test]
fn a_batch_is_full_if_there_is_more() {
    let mut aplic = all_pending();
    let mut deliveries = aplic.start(DOMAINCFG, IE);
    for _ in 0..1023 / Batch::MAX {
        let batch = aplic.0.take(&mut deliveries).unwrap();
        assert_eq!(batch.iter().count(), Batch::MAX);
    }
    assert_eq!(aplic.0.take(&mut deliveries).unwrap().iter().count(), 7);
    assert!(aplic.0.take(&mut deliveries).is_none());
}

#[test]
fn a_write_of_a_word_delivers_the_sources_that_it_names() {
    let mut aplic = Aplic::with(33, DETACHED);
    aplic.activate(40, DETACHED);
    aplic.activate(63, DETACHED);
    assert_eq!(aplic.write(setip(1), 1 << 1 | 1 << 31), [33, 63]);
    assert_eq!(aplic.write(clrie(1), !0), []);
    assert_eq!(aplic.write(setip(1), !0), []);
    assert_eq!(aplic.write(setie(1), 1 << 8), [40]);
    assert_eq!(aplic.write(setie(1), !0), [33, 63]);
}

#[test]
fn work_is_bounded_although_sources_become_pending_again() {
    let mut aplic = all_pending();
    let mut deliveries = aplic.start(DOMAINCFG, IE);
    let mut count = 0;
    while let Some(batch) = aplic.0.take(&mut deliveries) {
        for msi in batch.iter() {
            // Somebody else makes the source pending, and has it to deliver.
            let others = aplic.start(SETIPNUM, msi.identity.number());
            assert!(!others.is_empty());
            count += 1;
        }
    }
    assert_eq!(count, 1023);
}

#[test]
fn what_is_no_longer_wanted_is_not_delivered() {
    let stop: [(u64, u32); 4] = [
        (DOMAINCFG, 0),
        (in_clrip(0), !0),
        (clrie(0), !0),
        (sourcecfg(9), 0),
    ];
    for (offset, value) in stop {
        let mut aplic = Aplic::with(9, EDGE1);
        let deliveries = aplic.start(SETIPNUM, 9);
        assert_eq!(aplic.write(offset, value), []);
        assert_eq!(aplic.drain(deliveries), []);
        assert_eq!(
            aplic.is_pending(9),
            offset == DOMAINCFG || offset == clrie(0)
        );
    }
}

#[test]
fn an_extempore_message_is_sent_although_nothing_else_is() {
    let mut aplic = Aplic::with(9, EDGE1);
    let deliveries = aplic.start(GENMSI, 3);
    assert_eq!(aplic.write(DOMAINCFG, 0), []);
    assert_eq!(raw(&aplic.drain(deliveries)), [3]);
}

/// Saves the registers, and restores them in a fresh domain whose wires have been set.
#[test]
fn restoring_neither_loses_nor_repeats_an_interrupt() {
    let offsets = |regs: [fn(u32) -> u64; 2]| {
        regs.into_iter()
            .flat_map(|reg| (1..=40).map(reg))
            .collect::<Vec<_>>()
    };
    let wires = [
        (1, Low),
        (2, High),
        (3, High),
        (4, Low),
        (5, High),
        (6, High),
    ];

    let mut old = Aplic::new(40);
    assert_eq!(old.write(DOMAINCFG, IE), []);
    for (source, mode) in [
        (1, EDGE1),
        (2, EDGE0),
        (3, LEVEL1),
        (4, LEVEL0),
        (5, LEVEL1),
        (6, DETACHED),
    ] {
        assert_eq!(old.write(sourcecfg(source), mode), []);
        assert_eq!(old.write(target(source), source), []);
    }
    for (source, level) in wires {
        assert_eq!(old.wire(source, level), []);
    }
    // Sources 3 and 6 are pending when they are saved. 5 has been delivered, its wire is high.
    assert_eq!(old.write(SETIENUM, 5), [5]);
    assert_eq!(old.write(SETIPNUM, 6), []);
    assert_eq!(old.read(setip(0)), 1 << 3 | 1 << 6);

    // In the order of offsets, and with what delivers first or last.
    let mut ascending: Vec<_> = offsets([sourcecfg, target]);
    ascending.extend([DOMAINCFG, setip(0), setip(1), setie(0), setie(1)]);
    ascending.sort_unstable();
    let mut descending: Vec<_> = (1..=40).map(sourcecfg).collect();
    descending.extend((1..=40).map(target));
    descending.extend([setie(0), setie(1), setip(0), setip(1), DOMAINCFG]);

    for order in [ascending, descending] {
        let mut new = Aplic::new(40);
        for (source, level) in wires {
            assert_eq!(new.wire(source, level), []);
        }
        for offset in order {
            assert_eq!(new.write(offset, old.read(offset)), [], "{offset:#x}");
        }
        for offset in (0..0x4000).step_by(4) {
            assert_eq!(new.read(offset), old.read(offset), "{offset:#x}");
        }
        assert_eq!(new.write(setie(0), !0), [3, 6]);
    }
}

/// Also the interrupts of sources that are enabled are delivered, each of them once.
#[test]
fn what_was_on_its_way_is_delivered_after_restoring() {
    let steps: [(u64, u32); 4] = [
        (setip(0), 1 << 9),
        (setie(0), 1 << 9),
        (target(9), 9),
        (DOMAINCFG, IE),
    ];
    // All orders of four.
    for order in 0..256 {
        let order = [order & 3, order >> 2 & 3, order >> 4 & 3, order >> 6];
        if (0..4).any(|i| !order.contains(&i)) {
            continue;
        }
        let mut aplic = Aplic::new(20);
        assert_eq!(aplic.write(sourcecfg(9), EDGE1), []);
        let mut sent = Vec::new();
        for (offset, value) in order.map(|i| steps[i]) {
            sent.extend(aplic.write(offset, value));
        }
        assert_eq!(sent, [9]);
    }
}
