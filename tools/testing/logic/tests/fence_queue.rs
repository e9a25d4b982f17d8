// SPDX-License-Identifier: GPL-2.0

//! The queue of fences and the spans that they fence.

use kvm_riscv_logic::mmu::fence_queue::{
    Fence,
    FenceQueue,
    Queued,
    Span, //
};

fn gva(page: u64) -> Fence {
    Fence::Gva(Span::new(page << 12, 1 << 12))
}

fn drain(queue: &mut FenceQueue) -> Vec<Queued> {
    std::iter::from_fn(|| queue.pop()).collect()
}

#[test]
fn what_is_pushed_comes_out_once() {
    let mut queue = FenceQueue::new();
    assert_eq!(queue.pop(), None);
    for page in 0..FenceQueue::CAPACITY as u64 {
        queue.push(gva(page));
        queue.push(gva(page));
    }
    let mut out = drain(&mut queue);
    out.reverse();
    let expected: Vec<_> = (0..FenceQueue::CAPACITY as u64)
        .map(|page| Queued::Fence(gva(page)))
        .collect();
    assert_eq!(out, expected);
    assert_eq!(queue.pop(), None);
}

#[test]
fn overflow_fences_everything_and_then_starts_anew() {
    let mut queue = FenceQueue::new();
    for page in 0..=FenceQueue::CAPACITY as u64 {
        queue.push(gva(page));
    }
    queue.push(Fence::AllGvas);
    assert_eq!(drain(&mut queue), [Queued::Everything]);
    queue.push(Fence::Asid(7));
    assert_eq!(drain(&mut queue), [Queued::Fence(Fence::Asid(7))]);
}

#[test]
fn clear_empties() {
    let mut queue = FenceQueue::new();
    for page in 0..=FenceQueue::CAPACITY as u64 {
        queue.push(gva(page));
    }
    queue.clear();
    assert_eq!(queue.pop(), None);
}

fn pages(start: u64, size: u64) -> Option<Vec<u64>> {
    Span::new(start, size).leaves().map(Iterator::collect)
}

#[test]
fn a_span_covers_every_page_that_it_touches() {
    assert_eq!(pages(0x1000, 0x1000), Some(vec![0x1000]));
    assert_eq!(pages(0x1fff, 2), Some(vec![0x1000, 0x2000]));
    assert_eq!(pages(0x1000, 0), Some(vec![]));
    assert_eq!(pages(u64::MAX, 1), Some(vec![u64::MAX - 0xfff]));
}

#[test]
fn a_large_span_is_not_worth_it() {
    let max = Span::MAX_LEAVES << 12;
    assert_eq!(pages(0, max).map(|pages| pages.len()), Some(64));
    assert_eq!(pages(0, max + 1), None);
    assert_eq!(pages(0, u64::MAX), None);
    assert_eq!(pages(1, u64::MAX), None);
}

#[test]
fn a_large_leaf_takes_one_fence() {
    let leaves = |start, size| {
        Span::of_leaves(start, size, 21)
            .leaves()
            .map(Iterator::collect::<Vec<_>>)
    };
    assert_eq!(leaves(0x20_0000, 0x20_0000), Some(vec![0x20_0000]));
    assert_eq!(leaves(0x3f_f000, 0x2000), Some(vec![0x20_0000, 0x40_0000]));
    assert_eq!(leaves(0, 64 << 21).map(|leaves| leaves.len()), Some(64));
    assert_eq!(leaves(0, 65 << 21), None);
    assert_eq!(Span::of_leaves(0, 1, 30).order(), 30);
}

#[test]
fn a_span_ends_with_the_address_space() {
    let span = Span::new(u64::MAX - 0xfff, u64::MAX);
    assert_eq!((span.start(), span.size()), (u64::MAX - 0xfff, 0x1000));
    assert_eq!(
        pages(u64::MAX - 0xfff, u64::MAX),
        Some(vec![u64::MAX - 0xfff])
    );
}

#[test]
fn a_queue_is_empty_when_nothing_can_be_taken() {
    let mut queue = FenceQueue::new();
    assert!(queue.is_empty());
    for count in [1, FenceQueue::CAPACITY, FenceQueue::CAPACITY + 1] {
        for asid in 0..count {
            queue.push(Fence::Asid(asid as u64));
        }
        while !queue.is_empty() {
            assert!(queue.pop().is_some());
        }
        assert!(queue.pop().is_none());
    }
}
