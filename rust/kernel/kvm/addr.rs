// SPDX-License-Identifier: GPL-2.0

//! Addresses and frame numbers, one type for each kind.

use crate::page::PAGE_SHIFT;
use core::ops::Range;

/// A guest virtual address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gva(pub u64);

/// A guest physical address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gpa(pub u64);

/// A guest frame number: a guest physical address in units of pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gfn(pub u64);

/// A host virtual address, of user space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hva(pub usize);

/// A host frame number: a host physical address in units of pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pfn(pub u64);

/// A range of guest frames, the end excluded.
pub type GfnRange = Range<Gfn>;

impl Gpa {
    /// Returns the frame that the address lies in.
    #[inline]
    pub const fn gfn(self) -> Gfn {
        Gfn(self.0 >> PAGE_SHIFT)
    }
}

impl Gfn {
    /// Returns the address of the first byte of the frame.
    #[inline]
    pub const fn gpa(self) -> Gpa {
        Gpa(self.0 << PAGE_SHIFT)
    }
}
