// SPDX-License-Identifier: GPL-2.0

//! Fences that other vCPUs ask of a vCPU, and the queue that they wait in.

/// A fence of one vCPU, on the VMID of its VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fence {
    /// G-stage translations of guest physical addresses.
    Gpa(Span),
    /// All G-stage translations.
    AllGpas,
    /// VS-stage translations of guest virtual addresses, by all ASIDs.
    Gva(Span),
    /// All VS-stage translations.
    AllGvas,
    /// VS-stage translations of guest virtual addresses, by one ASID.
    GvaOfAsid(Span, u64),
    /// All VS-stage translations by one ASID.
    Asid(u64),
}

/// Addresses from `start` on, `size` bytes; not beyond the end of the address space. They are
/// translated by leaves of at least `1 << order` bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    start: u64,
    size: u64,
    order: u32,
}

impl Span {
    /// log2 of the size of a page.
    const PAGE: u32 = 12;

    /// More leaves than this are fenced by fencing all of them: it is cheaper, because many harts
    /// do that for each of them anyway.
    pub const MAX_LEAVES: u64 = 64;

    /// Returns the span of pages, cut off at the end of the address space.
    #[inline]
    pub const fn new(start: u64, size: u64) -> Self {
        Self::of_leaves(start, size, Self::PAGE)
    }

    /// Returns the span of leaves of at least `1 << order` bytes, cut off at the end of the address
    /// space. One fence is enough for each leaf. `order` is from 12 to 63.
    #[inline]
    pub const fn of_leaves(start: u64, size: u64, order: u32) -> Self {
        // How many bytes there are from `start` on, as far as 64 bits can tell: not for 0.
        let room = if start == 0 {
            u64::MAX
        } else {
            start.wrapping_neg()
        };
        let size = if size > room { room } else { size };
        Self { start, size, order }
    }

    /// Returns the first address.
    #[inline]
    pub const fn start(self) -> u64 {
        self.start
    }

    /// Returns the number of bytes.
    #[inline]
    pub const fn size(self) -> u64 {
        self.size
    }

    /// Returns log2 of the size of the smallest leaves.
    #[inline]
    pub const fn order(self) -> u32 {
        self.order
    }

    /// Returns an address in each leaf, or [`None`] if they are too many to be worth it.
    #[inline]
    pub fn leaves(self) -> Option<impl Iterator<Item = u64>> {
        let order = self.order;
        let first = self.start >> order;
        let last = match self.size {
            0 => first,
            size => (self.start + (size - 1)) >> order,
        };
        if last - first >= Self::MAX_LEAVES {
            return None;
        }
        let count = if self.size == 0 { 0 } else { last - first + 1 };
        Some((0..count).map(move |i| (first + i) << order))
    }
}

/// A bounded queue of fences.
///
/// When it overflows, all that is in it turns into a fence of everything, which is never wrong.
pub struct FenceQueue {
    fences: [Fence; Self::CAPACITY],
    len: usize,
    overflow: bool,
}

/// What comes out of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queued {
    /// A fence that has been queued.
    Fence(Fence),
    /// There were more than the queue holds.
    Everything,
}

impl FenceQueue {
    /// How many fences can wait.
    pub const CAPACITY: usize = 16;

    /// Returns an empty queue.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self {
            fences: [Fence::AllGpas; Self::CAPACITY],
            len: 0,
            overflow: false,
        }
    }

    /// Queues a fence.
    #[inline]
    pub fn push(&mut self, fence: Fence) {
        if self.overflow
            || self
                .fences
                .iter()
                .take(self.len)
                .any(|other| *other == fence)
        {
            return;
        }
        match self.fences.get_mut(self.len) {
            Some(place) => {
                *place = fence;
                self.len += 1;
            }
            None => self.overflow = true,
        }
    }

    /// Takes a fence out of the queue. The order does not matter: each only makes a hart forget.
    #[inline]
    pub fn pop(&mut self) -> Option<Queued> {
        if self.overflow {
            self.clear();
            return Some(Queued::Everything);
        }
        let last = self.len.checked_sub(1)?;
        self.len = last;
        self.fences.get(last).copied().map(Queued::Fence)
    }

    /// Returns whether there is nothing to take.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0 && !self.overflow
    }

    /// Empties the queue.
    #[inline]
    pub fn clear(&mut self) {
        self.len = 0;
        self.overflow = false;
    }
}
