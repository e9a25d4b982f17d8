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

/// Addresses from `start` on, `size` bytes; not beyond the end of the address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    start: u64,
    size: u64,
}

impl Span {
    const PAGE: u64 = 1 << 12;

    /// More pages than this are fenced by fencing all of them: it is cheaper.
    pub const MAX_PAGES: u64 = 512;

    /// Returns the span, cut off at the end of the address space.
    #[inline]
    pub const fn new(start: u64, size: u64) -> Self {
        // How many bytes there are from `start` on, as far as 64 bits can tell: not for 0.
        let room = if start == 0 {
            u64::MAX
        } else {
            start.wrapping_neg()
        };
        let size = if size > room { room } else { size };
        Self { start, size }
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

    /// Returns the first address of each page, or [`None`] if they are too many to be worth it.
    #[inline]
    pub fn pages(self) -> Option<impl Iterator<Item = u64>> {
        let first = self.start / Self::PAGE;
        let last = match self.size {
            0 => first,
            size => (self.start + (size - 1)) / Self::PAGE,
        };
        if last - first >= Self::MAX_PAGES {
            return None;
        }
        let count = if self.size == 0 { 0 } else { last - first + 1 };
        Some((0..count).map(move |i| (first + i) * Self::PAGE))
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
