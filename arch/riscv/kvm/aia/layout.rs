// SPDX-License-Identifier: GPL-2.0

//! What user space configures of a VM's AIA, and the addresses that follow. Depends on `core`
//! alone.
//!
//! [`Config`] takes the attributes one by one and refuses what can never be right.
//! [`Config::layout`] checks all of them together, as `KVM_DEV_RISCV_AIA_CTRL_INIT` has to, and
//! gives a [`Layout`]. The arrangement of addresses is that of section 3.6 of the specification
//! of the AIA, version 1.0.

use crate::abi::aia::{
    ConfigAttr,
    GuestIndex,
    HartIndex,
    Identity,
    APLIC_ALIGN,
    APLIC_SIZE,
    IMSIC_PAGE_SHIFT,
    IMSIC_PAGE_SIZE, //
};

/// Where the interrupt files of a VM are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Mode {
    /// In memory.
    Emulated = 0,
    /// In guest interrupt files of the harts.
    Accelerated = 1,
    /// In guest interrupt files while there are any, else in memory.
    Automatic = 2,
}

/// What the host offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host {
    /// The largest identity that the files of VMs can have.
    pub last_id: Identity,
    /// How many guest interrupt files each hart has at least.
    pub guest_files: u32,
}

/// A value that user space may not set, or a configuration that does not fit together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// There is no such mode, or it needs guest interrupt files and there are none.
    Mode,
    /// The number of identities is not one less than a multiple of 64, or too large.
    Ids,
    /// There are too many sources.
    Sources,
    /// There are too many bits of the group number.
    GroupBits,
    /// The place of the group number is too low or too high.
    GroupShift,
    /// There are too many bits of the hart number.
    HartBits,
    /// There are too many bits of the guest index.
    GuestBits,
    /// The address is not that of a page.
    Misaligned,
    /// There are more sources than identities.
    FewIds,
    /// There are sources, but the APLIC has no address.
    NoAplic,
    /// The group number overlaps the hart number.
    Overlap,
    /// An IMSIC has no address.
    NoImsic,
    /// An IMSIC is at the address of a guest interrupt file.
    GuestPage,
    /// The addresses of two IMSICs differ in more than the hart index.
    Base,
}

/// The configuration of a VM's AIA.
///
/// # Invariants
///
/// Each field is within the limits of its `KVM_DEV_RISCV_AIA_*`. So no address has more than
/// 12 + 7 + 15 bits below the group number, nor any part of the group number above bit 61.
#[derive(Clone, Debug)]
pub struct Config {
    host: Host,
    mode: Mode,
    nr_ids: Identity,
    nr_sources: u32,
    group_bits: u32,
    group_shift: u32,
    hart_bits: u32,
    guest_bits: u32,
    aplic_addr: Option<u64>,
}

impl Config {
    const IDS_MIN: u32 = 63;
    const SOURCES_END: u32 = 1024;
    const GROUP_BITS_END: u32 = 8;
    const GROUP_SHIFT_MIN: u32 = 24;
    const GROUP_SHIFT_END: u32 = 56;
    const HART_BITS_END: u32 = 16;
    const GUEST_BITS_END: u32 = 8;

    /// Returns the configuration that a VM starts with.
    pub const fn new(host: Host) -> Self {
        Self {
            host,
            mode: if host.guest_files != 0 {
                Mode::Automatic
            } else {
                Mode::Emulated
            },
            nr_ids: host.last_id,
            nr_sources: 0,
            group_bits: 0,
            group_shift: Self::GROUP_SHIFT_MIN,
            hart_bits: 0,
            guest_bits: 0,
            aplic_addr: None,
        }
    }

    /// Returns the value of an attribute.
    pub const fn get(&self, attr: ConfigAttr) -> u32 {
        match attr {
            ConfigAttr::Mode => self.mode as u32,
            ConfigAttr::Ids => self.nr_ids.number(),
            ConfigAttr::Sources => self.nr_sources,
            ConfigAttr::GroupBits => self.group_bits,
            ConfigAttr::GroupShift => self.group_shift,
            ConfigAttr::HartBits => self.hart_bits,
            ConfigAttr::GuestBits => self.guest_bits,
        }
    }

    /// Sets the value of an attribute.
    ///
    /// # Errors
    ///
    /// The error of that attribute, if the value is not within its limits; the old value stays.
    pub fn set(&mut self, attr: ConfigAttr, value: u32) -> Result<(), Error> {
        let last_id = self.host.last_id.number();
        match attr {
            ConfigAttr::Mode => {
                self.mode = match value {
                    0 => Mode::Emulated,
                    1 if self.host.guest_files != 0 => Mode::Accelerated,
                    2 if self.host.guest_files != 0 => Mode::Automatic,
                    _ => return Err(Error::Mode),
                }
            }
            ConfigAttr::Ids => {
                if value & Self::IDS_MIN != Self::IDS_MIN || value > last_id {
                    return Err(Error::Ids);
                }
                self.nr_ids = Identity::new(value).ok_or(Error::Ids)?;
            }
            ConfigAttr::Sources => {
                if value >= Self::SOURCES_END || value > last_id {
                    return Err(Error::Sources);
                }
                self.nr_sources = value;
            }
            ConfigAttr::GroupBits => {
                if value >= Self::GROUP_BITS_END {
                    return Err(Error::GroupBits);
                }
                self.group_bits = value;
            }
            ConfigAttr::GroupShift => {
                if !(Self::GROUP_SHIFT_MIN..Self::GROUP_SHIFT_END).contains(&value) {
                    return Err(Error::GroupShift);
                }
                self.group_shift = value;
            }
            ConfigAttr::HartBits => {
                if value >= Self::HART_BITS_END {
                    return Err(Error::HartBits);
                }
                self.hart_bits = value;
            }
            ConfigAttr::GuestBits => {
                if value >= Self::GUEST_BITS_END {
                    return Err(Error::GuestBits);
                }
                self.guest_bits = value;
            }
        }
        Ok(())
    }

    /// Returns the mode.
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// Returns the largest identity of each interrupt file.
    pub const fn last_id(&self) -> Identity {
        self.nr_ids
    }

    /// Returns the number of sources of the APLIC. Without any, there is no APLIC.
    pub const fn sources(&self) -> u32 {
        self.nr_sources
    }

    /// Returns the address of the APLIC.
    pub const fn aplic_addr(&self) -> Option<u64> {
        self.aplic_addr
    }

    /// Sets the address of the APLIC.
    ///
    /// # Errors
    ///
    /// [`Error::Misaligned`]; the old address stays.
    pub fn set_aplic_addr(&mut self, addr: u64) -> Result<(), Error> {
        if addr % APLIC_ALIGN != 0 {
            return Err(Error::Misaligned);
        }
        self.aplic_addr = Some(addr);
        Ok(())
    }

    /// Checks an address that user space sets for an IMSIC.
    ///
    /// # Errors
    ///
    /// [`Error::Misaligned`].
    pub const fn check_imsic_addr(addr: u64) -> Result<(), Error> {
        if addr % IMSIC_PAGE_SIZE != 0 {
            return Err(Error::Misaligned);
        }
        Ok(())
    }

    /// Checks the whole configuration, with the addresses of the IMSICs of all vCPUs.
    ///
    /// Two vCPUs may have the same address, and so the same hart index. Then the one that comes
    /// first gets the messages: a table from the hart index to the vCPU keeps the first entry.
    ///
    /// # Errors
    ///
    /// The last six of [`Error`], or [`Error::Misaligned`] for an IMSIC.
    pub fn layout(
        &self,
        imsic_addrs: impl IntoIterator<Item = Option<u64>>,
    ) -> Result<Layout, Error> {
        if self.nr_ids.number() < self.nr_sources {
            return Err(Error::FewIds);
        }
        let aplic = match (self.nr_sources, self.aplic_addr) {
            (0, _) => None,
            (_, None) => return Err(Error::NoAplic),
            (_, addr) => addr,
        };
        let hart_shift = IMSIC_PAGE_SHIFT + self.guest_bits;
        if self.group_bits != 0 && self.group_shift < hart_shift + self.hart_bits {
            return Err(Error::Overlap);
        }
        let mut layout = Layout {
            aplic,
            base: None,
            hart_shift,
            hart_bits: self.hart_bits,
            group_shift: self.group_shift,
            group_bits: self.group_bits,
        };
        for addr in imsic_addrs {
            let addr = addr.ok_or(Error::NoImsic)?;
            Self::check_imsic_addr(addr)?;
            if addr & layout.guest_mask() != 0 {
                return Err(Error::GuestPage);
            }
            let base = layout.base_of(addr);
            if *layout.base.get_or_insert(base) != base {
                return Err(Error::Base);
            }
        }
        Ok(layout)
    }
}

/// Where a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The hart.
    pub hart: HartIndex,
    /// The interrupt file of that hart.
    pub guest: GuestIndex,
    /// The offset in the page of that file.
    pub offset: u64,
}

/// Which addresses of a VM belong to its AIA.
#[derive(Clone, Debug)]
pub struct Layout {
    aplic: Option<u64>,
    /// What the addresses of all IMSICs have in common; [`None`] if there are no vCPUs.
    base: Option<u64>,
    hart_shift: u32,
    hart_bits: u32,
    group_shift: u32,
    group_bits: u32,
}

/// Returns a mask of the low bits, fewer than 64.
const fn low_bits(count: u32) -> u64 {
    (1 << count) - 1
}

impl Layout {
    const fn guest_mask(&self) -> u64 {
        low_bits(self.hart_shift) & !low_bits(IMSIC_PAGE_SHIFT)
    }

    const fn base_of(&self, addr: u64) -> u64 {
        let group = low_bits(self.group_bits) << self.group_shift;
        addr & !group & !low_bits(self.hart_shift + self.hart_bits)
    }

    /// Returns the interrupt file that an address belongs to, which exists if a vCPU has the hart
    /// index and if the guest index is 0.
    #[inline]
    pub fn locate(&self, gpa: u64) -> Option<Place> {
        // What the address has besides: in the base, these bits are zero.
        let bits = gpa ^ self.base?;
        let hart = if self.group_bits == 0 {
            // Almost all guests are like that.
            if bits >> (self.hart_shift + self.hart_bits) != 0 {
                return None;
            }
            bits >> self.hart_shift
        } else {
            if self.base_of(bits) != 0 {
                return None;
            }
            let hart = bits >> self.hart_shift & low_bits(self.hart_bits);
            let group = bits >> self.group_shift & low_bits(self.group_bits);
            group << self.hart_bits | hart
        };
        Some(Place {
            hart: HartIndex(hart as u32),
            guest: GuestIndex(((bits & self.guest_mask()) >> IMSIC_PAGE_SHIFT) as u32),
            offset: bits & low_bits(IMSIC_PAGE_SHIFT),
        })
    }

    /// Returns the address of an interrupt file, or [`None`] if an address has no room for the
    /// indices.
    #[inline]
    pub fn address(&self, hart: HartIndex, guest: GuestIndex) -> Option<u64> {
        let index = u64::from(hart.0);
        let group = index >> self.hart_bits;
        let guest = u64::from(guest.0) << IMSIC_PAGE_SHIFT;
        if group > low_bits(self.group_bits) || guest & !self.guest_mask() != 0 {
            return None;
        }
        let hart = index & low_bits(self.hart_bits);
        Some(self.base? | group << self.group_shift | hart << self.hart_shift | guest)
    }

    /// Returns the address of the APLIC, if there is one.
    #[inline]
    pub const fn aplic_addr(&self) -> Option<u64> {
        self.aplic
    }

    /// Returns the offset of an address in the APLIC, if it belongs to it.
    #[inline]
    pub fn aplic_offset(&self, gpa: u64) -> Option<u64> {
        gpa.checked_sub(self.aplic?)
            .filter(|offset| *offset < APLIC_SIZE)
    }
}
