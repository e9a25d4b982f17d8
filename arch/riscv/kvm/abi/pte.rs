// SPDX-License-Identifier: GPL-2.0

//! G-stage translation: schemes, levels and page-table entries. Arithmetic only.
//!
//! Privileged specification, "Two-Stage Address Translation" and "Sv39 Page-Based Virtual-Memory
//! System", whose entry format all RV64 schemes share.

/// log2 of the size of a page.
pub const PAGE_SHIFT: u32 = 12;

/// log2 of the number of entries of a page table, but for the root.
const INDEX_BITS: u32 = 9;

/// The root of a G-stage page table is four times as large: the scheme translates two bits more
/// than its VS-stage namesake.
pub const ROOT_PAGES: usize = 4;

/// A translation scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// 41-bit guest physical addresses.
    Sv39x4,
    /// 50-bit guest physical addresses.
    Sv48x4,
    /// 59-bit guest physical addresses.
    Sv57x4,
}

impl Mode {
    /// Returns the value of `hgatp.MODE`.
    #[inline]
    pub const fn hgatp_mode(self) -> u64 {
        match self {
            Self::Sv39x4 => 8,
            Self::Sv48x4 => 9,
            Self::Sv57x4 => 10,
        }
    }

    /// Returns the level of the root.
    #[inline]
    pub const fn root_level(self) -> Level {
        match self {
            Self::Sv39x4 => Level(2),
            Self::Sv48x4 => Level(3),
            Self::Sv57x4 => Level(4),
        }
    }

    /// Returns the width of a guest physical address, in bits.
    #[inline]
    pub const fn gpa_bits(self) -> u32 {
        self.root_level().order() + INDEX_BITS + ROOT_PAGES.trailing_zeros()
    }

    /// Returns the narrowest scheme for addresses of so many bits, or [`None`] if there is none.
    #[inline]
    pub const fn for_gpa_bits(bits: u64) -> Option<Self> {
        let mut i = 0;
        while i < Self::ALL.len() {
            if bits <= Self::ALL[i].gpa_bits() as u64 {
                return Some(Self::ALL[i]);
            }
            i += 1;
        }
        None
    }

    /// All schemes, from the narrowest to the widest.
    pub const ALL: [Self; 3] = [Self::Sv39x4, Self::Sv48x4, Self::Sv57x4];

    /// Returns the name that the specification gives the scheme.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sv39x4 => "Sv39x4",
            Self::Sv48x4 => "Sv48x4",
            Self::Sv57x4 => "Sv57x4",
        }
    }
}

/// A level of a page table: 0 has entries for pages of 4K, 1 for 2M, 2 for 1G.
///
/// # Invariants
///
/// At most 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Level(u8);

impl Level {
    /// Pages of 4K.
    pub const PAGE: Self = Self(0);

    /// Pages of 2M, which the specification calls megapages.
    pub const MEGAPAGE: Self = Self(1);

    /// Pages of 1G, which the specification calls gigapages.
    pub const GIGAPAGE: Self = Self(2);

    /// Returns the level of the largest leaf that maps no more than `frames` pages of 4K, at least
    /// 1.
    #[inline]
    pub const fn of_block(frames: u64) -> Self {
        if frames >= Self::GIGAPAGE.pages() {
            Self::GIGAPAGE
        } else if frames >= Self::MEGAPAGE.pages() {
            Self::MEGAPAGE
        } else {
            Self::PAGE
        }
    }

    /// Returns the level below, or [`None`] from 0.
    #[inline]
    pub const fn below(self) -> Option<Self> {
        match self.0 {
            0 => None,
            n => Some(Self(n - 1)),
        }
    }

    /// Returns log2 of the number of bytes that an entry of this level translates.
    #[inline]
    pub const fn order(self) -> u32 {
        PAGE_SHIFT + self.0 as u32 * INDEX_BITS
    }

    /// Returns the number of bytes that an entry of this level translates.
    #[inline]
    pub const fn size(self) -> u64 {
        1 << self.order()
    }

    /// Returns the number of pages of 4K that an entry of this level translates.
    #[inline]
    pub const fn pages(self) -> u64 {
        self.size() >> PAGE_SHIFT
    }

    /// Returns how many levels there are below.
    #[inline]
    pub const fn levels_below(self) -> usize {
        self.0 as usize
    }

    /// Returns the first frame of those that an entry of this level translates together with
    /// `frame`.
    #[inline]
    pub const fn first(self, frame: u64) -> u64 {
        frame & !(self.pages() - 1)
    }

    /// Returns which entry of a table of `entries` entries translates `gpa`. `entries` is a power
    /// of two.
    #[inline]
    pub const fn index(self, gpa: u64, entries: usize) -> usize {
        (gpa >> self.order()) as usize & (entries - 1)
    }
}

/// What the guest may do with a page. Reading is always allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    /// Whether it may write the page.
    pub write: Write,
    /// Whether it may execute what the page contains.
    pub fetch: Fetch,
}

/// Whether the guest may write a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// The host does not allow it.
    Denied,
    /// The host allows it, but a write has to be logged first.
    Logged,
    /// It may.
    Allowed,
}

/// Whether the guest may fetch instructions from a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fetch {
    /// Its first fetch traps, because some hart may not see the instructions yet.
    Traps,
    /// It may: all harts see them.
    Allowed,
}

/// The type of memory that a leaf gives to what it maps (Svpbmt). Where it gives one, the guest
/// cannot go back to that of the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryType {
    /// What the platform says the memory is.
    Platform,
    /// Main memory that is not cached.
    Uncached,
    /// Registers of a device: not cached, strongly ordered, and with effects.
    Device,
}

/// A page-table entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pte(u64);

impl Pte {
    const VALID: u64 = 1 << 0;
    const READ: u64 = 1 << 1;
    const WRITE: u64 = 1 << 2;
    const EXEC: u64 = 1 << 3;
    const USER: u64 = 1 << 4;
    const ACCESSED: u64 = 1 << 6;
    const DIRTY: u64 = 1 << 7;
    /// One of the bits for software: the host allows writes, whether the entry does or not.
    const HOST_WRITABLE: u64 = 1 << 8;
    const LEAF: u64 = Self::READ | Self::WRITE | Self::EXEC;
    const PPN_SHIFT: u32 = 10;
    const PPN_MASK: u64 = ((1 << 44) - 1) << Self::PPN_SHIFT;
    const TYPE_SHIFT: u32 = 61;
    const TYPE_MASK: u64 = 0b11 << Self::TYPE_SHIFT;

    /// No translation.
    pub const EMPTY: Self = Self(0);

    /// Takes an entry from memory.
    #[inline]
    pub const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }

    /// Returns the entry as memory holds it.
    #[inline]
    pub const fn into_raw(self) -> u64 {
        self.0
    }

    /// Returns a leaf.
    ///
    /// All G-stage accesses count as those of U-mode. A and D are set from the start: a hart may
    /// set them itself or fault, and dirty pages are logged by the write permission.
    #[inline]
    pub const fn leaf(pfn: u64, rights: Rights) -> Self {
        let write = match rights.write {
            Write::Denied => 0,
            Write::Logged => Self::HOST_WRITABLE,
            Write::Allowed => Self::HOST_WRITABLE | Self::WRITE,
        };
        let fetch = match rights.fetch {
            Fetch::Traps => 0,
            Fetch::Allowed => Self::EXEC,
        };
        let flags = Self::VALID | Self::READ | Self::USER | Self::ACCESSED | Self::DIRTY;
        Self(((pfn << Self::PPN_SHIFT) & Self::PPN_MASK) | flags | write | fetch)
    }

    /// Returns the leaf with a type of memory.
    #[inline]
    pub const fn with_memory_type(self, memory: MemoryType) -> Self {
        let bits = match memory {
            MemoryType::Platform => 0,
            MemoryType::Uncached => 1,
            MemoryType::Device => 2,
        };
        Self(self.0 & !Self::TYPE_MASK | bits << Self::TYPE_SHIFT)
    }

    /// Returns the type of memory of a leaf, of the G-stage or of another page table that has the
    /// format of Svpbmt. A reserved type counts as the strictest.
    #[inline]
    pub const fn memory_type(self) -> MemoryType {
        match (self.0 & Self::TYPE_MASK) >> Self::TYPE_SHIFT {
            0 => MemoryType::Platform,
            1 => MemoryType::Uncached,
            _ => MemoryType::Device,
        }
    }

    /// Returns whether two leaves of one level map the same memory, by the same type.
    #[inline]
    pub const fn maps_same(self, other: Self) -> bool {
        (self.0 ^ other.0) & (Self::PPN_MASK | Self::TYPE_MASK) == 0
    }

    /// Returns an entry that leads to the table at host physical address `phys`.
    #[inline]
    pub const fn table(phys: u64) -> Self {
        Self((((phys >> PAGE_SHIFT) << Self::PPN_SHIFT) & Self::PPN_MASK) | Self::VALID)
    }

    /// Returns whether there is no translation.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.0 & Self::VALID == 0
    }

    /// Returns whether the entry is a leaf.
    #[inline]
    pub const fn is_leaf(self) -> bool {
        !self.is_empty() && self.0 & Self::LEAF != 0
    }

    /// Returns the host frame of the leaf, or of the table.
    #[inline]
    pub const fn pfn(self) -> u64 {
        (self.0 & Self::PPN_MASK) >> Self::PPN_SHIFT
    }

    /// Returns the host physical address of the leaf, or of the table.
    #[inline]
    pub const fn phys(self) -> u64 {
        self.pfn() << PAGE_SHIFT
    }

    /// Returns whether the guest may write.
    #[inline]
    pub const fn is_writable(self) -> bool {
        self.0 & Self::WRITE != 0
    }

    /// Returns the entry without the permission to write.
    #[inline]
    pub const fn write_protected(self) -> Self {
        Self(self.0 & !Self::WRITE)
    }

    /// Returns the entry with the permission to write, or [`None`] if the host does not allow it:
    /// the page may be one that others see, like the zero page.
    #[inline]
    pub const fn made_writable(self) -> Option<Self> {
        if self.0 & Self::HOST_WRITABLE == 0 {
            return None;
        }
        Some(Self(self.0 | Self::WRITE | Self::ACCESSED | Self::DIRTY))
    }

    /// Returns the entry with the permission to fetch instructions.
    #[inline]
    pub const fn made_executable(self) -> Self {
        Self(self.0 | Self::EXEC | Self::ACCESSED)
    }

    /// Returns whether the page has been accessed since [`aged`](Self::aged).
    #[inline]
    pub const fn is_young(self) -> bool {
        self.0 & Self::ACCESSED != 0
    }

    /// Returns the entry as one that has not been accessed.
    #[inline]
    pub const fn aged(self) -> Self {
        Self(self.0 & !Self::ACCESSED)
    }

    /// Returns the leaf with all that either of the two allows; they [map the same
    /// memory](Self::maps_same).
    #[inline]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns the leaf for part `index` of what this leaf maps, one level below. `below` is that
    /// level.
    #[inline]
    pub const fn part(self, index: usize, below: Level) -> Self {
        Self(self.0 + ((index as u64 * below.pages()) << Self::PPN_SHIFT))
    }
}
