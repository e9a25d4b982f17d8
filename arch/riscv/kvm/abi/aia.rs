// SPDX-License-Identifier: GPL-2.0

//! Registers of the Advanced Interrupt Architecture, and attributes of KVM's device for it.
//!
//! Only names, places and formats are here. A guest's accesses and user space's attributes give
//! the numbers, so every decoder takes any value, and what chooses an entry of a table is below its
//! bound even where a check is mispredicted.
//!
//! References: The RISC-V Advanced Interrupt Architecture, version 1.0 ("the specification" below),
//! and `arch/riscv/include/uapi/asm/kvm.h`.

use crate::abi::nospec;

/// The number of an interrupt source of an APLIC (section 4.1).
///
/// # Invariants
///
/// The number is in `1..=1023`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source(u16);

impl Source {
    /// How many sources an APLIC can have.
    pub const MAX: u32 = 1023;

    /// Returns the source with this number, or [`None`] if no APLIC can have it.
    #[inline]
    pub fn new(number: u32) -> Option<Self> {
        let index = nospec::below(u64::from(number).checked_sub(1)?, u64::from(Self::MAX))?;
        // INVARIANT: `index` is below 1023.
        Some(Self(index as u16 + 1))
    }

    /// Returns the source whose bit this is in the registers with 32 bits, or [`None`] for bit 0
    /// of word 0.
    #[inline]
    pub fn of_bit(word: Word, bit: u32) -> Option<Self> {
        Self::new(u32::from(word.0) << 5 | bit & 31)
    }

    /// Returns the number.
    #[inline]
    pub const fn number(self) -> u32 {
        self.0 as u32
    }

    /// Returns the word that has the bit of this source.
    #[inline]
    pub const fn word(self) -> Word {
        // INVARIANT: The number has ten bits.
        Word((self.0 >> 5) as u8 & 31)
    }

    /// Returns the bit of this source in its word.
    #[inline]
    pub const fn mask(self) -> u32 {
        1 << (self.0 & 31)
    }
}

/// The number of one of the 32 registers that have a bit for each of 32 sources.
///
/// # Invariants
///
/// The number is below 32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Word(u8);

impl Word {
    /// How many there are.
    pub const COUNT: usize = 32;

    /// Returns the word whose number is in the low five bits.
    #[inline]
    pub const fn new(number: u32) -> Self {
        // INVARIANT: Five bits are left.
        Self((number & 31) as u8)
    }

    /// Returns the number.
    #[inline]
    pub const fn index(self) -> usize {
        // Obviously below 32, which spares a check.
        (self.0 & 31) as usize
    }
}

/// The identity of an interrupt in an interrupt file of an IMSIC (section 3.1).
///
/// # Invariants
///
/// The number is in `1..=2047`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity(u16);

impl Identity {
    /// The largest identity that an interrupt file can have.
    pub const MAX: u32 = 2047;

    /// That identity.
    pub const LAST: Self = Self(Self::MAX as u16);

    /// Returns the identity with this number, or [`None`] if no interrupt file can have it.
    #[inline]
    pub fn new(number: u32) -> Option<Self> {
        let index = nospec::below(u64::from(number).checked_sub(1)?, u64::from(Self::MAX))?;
        // INVARIANT: `index` is below 2047.
        Some(Self(index as u16 + 1))
    }

    /// Returns the number.
    #[inline]
    pub const fn number(self) -> u32 {
        self.0 as u32
    }

    /// Returns the `eip` and `eie` registers that have the bit of this identity.
    #[inline]
    pub const fn eix(self) -> Eix {
        // INVARIANT: The number has eleven bits.
        Eix((self.0 >> 6) as u8 & 31)
    }

    /// Returns the bit of this identity in its registers.
    #[inline]
    pub const fn mask(self) -> u64 {
        1 << (self.0 & 63)
    }

    /// Returns the value of `stopei` that shows this identity (section 3.9).
    #[inline]
    pub const fn topei(self) -> u64 {
        (self.0 as u64) << 16 | self.0 as u64
    }
}

/// The number of a pair of registers `eip` and `eie` with 64 bits: half the number in its name.
///
/// # Invariants
///
/// The number is below 32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Eix(u8);

impl Eix {
    /// How many pairs there are.
    pub const COUNT: usize = 32;

    /// Returns the pair whose number is in the low five bits.
    #[inline]
    pub const fn new(number: u32) -> Self {
        // INVARIANT: Five bits are left.
        Self((number & 31) as u8)
    }

    /// Returns the number.
    #[inline]
    pub const fn index(self) -> usize {
        // Obviously below 32, which spares a check.
        (self.0 & 31) as usize
    }
}

/// The hart index of an APLIC, or the place of a hart among the IMSICs: the group's number above
/// the hart's number in its group (sections 3.6 and 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HartIndex(pub u32);

/// Which interrupt file of a hart: 0 is that of supervisor level, others are guest interrupt files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GuestIndex(pub u32);

/// A message that makes an interrupt pending in an interrupt file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Msi {
    /// The hart that it is sent to.
    pub hart: HartIndex,
    /// The interrupt file of that hart.
    pub guest: GuestIndex,
    /// The interrupt that becomes pending.
    pub identity: Identity,
}

/// The fields of `domaincfg` (section 4.5.1).
pub mod domaincfg {
    /// The top byte, which tells the byte order of the register.
    pub const READ_ONLY: u32 = 0x80 << 24;
    /// Interrupts are delivered.
    pub const IE: u32 = 1 << 8;
    /// They are delivered by MSI.
    pub const DM: u32 = 1 << 2;
}

/// The fields of `sourcecfg` (section 4.5.2).
pub mod sourcecfg {
    /// The source is delegated to a child domain.
    pub const D: u32 = 1 << 10;
    /// The source mode of a source that is not delegated.
    pub const SM: u32 = 7;
}

/// How an interrupt source is used: the field SM of `sourcecfg` (section 4.5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SourceMode {
    /// Not at all in this domain.
    Inactive = 0,
    /// Without its wire; registers can make it pending.
    Detached = 1,
    /// A rising edge is an interrupt.
    Edge1 = 4,
    /// A falling edge is an interrupt.
    Edge0 = 5,
    /// A high level is an interrupt.
    Level1 = 6,
    /// A low level is an interrupt.
    Level0 = 7,
}

impl SourceMode {
    /// Decodes the field, or returns [`None`] for a value that is reserved.
    #[inline]
    pub const fn from_raw(raw: u32) -> Option<Self> {
        match raw {
            0 => Some(Self::Inactive),
            1 => Some(Self::Detached),
            4 => Some(Self::Edge1),
            5 => Some(Self::Edge0),
            6 => Some(Self::Level1),
            7 => Some(Self::Level0),
            _ => None,
        }
    }

    /// Returns the value of the field.
    #[inline]
    pub const fn raw(self) -> u32 {
        self as u32
    }

    /// Returns whether the source is used in this domain.
    #[inline]
    pub const fn is_active(self) -> bool {
        !matches!(self, Self::Inactive)
    }

    /// Returns whether the wire counts.
    #[inline]
    pub const fn is_attached(self) -> bool {
        !matches!(self, Self::Inactive | Self::Detached)
    }

    /// Returns whether the source is sensitive to the level of the wire.
    #[inline]
    pub const fn is_level(self) -> bool {
        matches!(self, Self::Level1 | Self::Level0)
    }

    /// Returns whether a low wire is a high rectified input.
    #[inline]
    pub const fn is_inverted(self) -> bool {
        matches!(self, Self::Edge0 | Self::Level0)
    }
}

/// A `target` register in MSI delivery mode (section 4.5.16).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Target(u32);

impl Target {
    const HART_SHIFT: u32 = 18;
    const GUEST_SHIFT: u32 = 12;
    const GUEST: u32 = 0x3f;
    const EIID: u32 = 0x7ff;

    /// Takes what is written to the register, or to `genmsi`: bit 11 is reserved, and so is Busy,
    /// as the message is sent before the write to `genmsi` returns (section 4.5.15). There is no
    /// guest index: a guest's hart has no interrupt files of its own guests.
    #[inline]
    pub const fn from_raw(raw: u32) -> Self {
        Self(raw & !(Self::GUEST << Self::GUEST_SHIFT | 1 << 11))
    }

    /// Returns the value of the register.
    #[inline]
    pub const fn raw(self) -> u32 {
        self.0
    }

    /// Returns the message that is sent, or [`None`] if the field EIID is zero, which is not an
    /// identity: an interrupt file ignores such a message.
    #[inline]
    pub fn msi(self) -> Option<Msi> {
        Some(Msi {
            hart: HartIndex(self.0 >> Self::HART_SHIFT),
            guest: GuestIndex(self.0 >> Self::GUEST_SHIFT & Self::GUEST),
            identity: Identity::new(self.0 & Self::EIID)?,
        })
    }
}

/// The size of the control region of an interrupt domain without structures for direct delivery.
pub const APLIC_SIZE: u64 = 0x4000;
/// Addresses of APLICs are multiples of this.
pub const APLIC_ALIGN: u64 = 0x1000;

/// A register of an interrupt domain at supervisor level (section 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AplicReg {
    /// `domaincfg`
    DomainCfg,
    /// `sourcecfg[i]`
    SourceCfg(Source),
    /// `setip[k]`
    SetIp(Word),
    /// `setipnum`
    SetIpNum,
    /// `in_clrip[k]`
    InClrIp(Word),
    /// `clripnum`
    ClrIpNum,
    /// `setie[k]`
    SetIe(Word),
    /// `setienum`
    SetIeNum,
    /// `clrie[k]`
    ClrIe(Word),
    /// `clrienum`
    ClrIeNum,
    /// `setipnum_le`
    SetIpNumLe,
    /// `setipnum_be`
    SetIpNumBe,
    /// `genmsi`
    GenMsi,
    /// `target[i]`
    Target(Source),
    /// Bytes that are read-only zeros. The registers of MSI addresses, from 0x1bc0 on, are among
    /// them, as only domains at machine level have those.
    Reserved,
}

/// Why an offset is that of no register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetError {
    /// It is not a multiple of four.
    Misaligned,
    /// It is beyond the control region.
    Outside,
}

impl AplicReg {
    /// Decodes an offset in the control region.
    #[inline]
    pub fn decode(offset: u64) -> Result<Self, OffsetError> {
        if offset & 3 != 0 {
            return Err(OffsetError::Misaligned);
        }
        if offset >= APLIC_SIZE {
            return Err(OffsetError::Outside);
        }
        let index = offset as u32 >> 2 & 0x3ff;
        let word = Word::new(index);
        let source = Source::new(index);
        Ok(match offset {
            0x0000 => Self::DomainCfg,
            0x0004..=0x0fff => source.map_or(Self::Reserved, Self::SourceCfg),
            0x1c00..=0x1c7f => Self::SetIp(word),
            0x1cdc => Self::SetIpNum,
            0x1d00..=0x1d7f => Self::InClrIp(word),
            0x1ddc => Self::ClrIpNum,
            0x1e00..=0x1e7f => Self::SetIe(word),
            0x1edc => Self::SetIeNum,
            0x1f00..=0x1f7f => Self::ClrIe(word),
            0x1fdc => Self::ClrIeNum,
            0x2000 => Self::SetIpNumLe,
            0x2004 => Self::SetIpNumBe,
            0x3000 => Self::GenMsi,
            0x3004..=0x3fff => source.map_or(Self::Reserved, Self::Target),
            _ => Self::Reserved,
        })
    }
}

/// The size of the page of an interrupt file (section 3.5).
pub const IMSIC_PAGE_SIZE: u64 = 1 << IMSIC_PAGE_SHIFT;
/// The number of address bits within that page.
pub const IMSIC_PAGE_SHIFT: u32 = 12;

/// A register in the page of an interrupt file that takes messages (section 3.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MsiPort {
    /// `seteipnum_le`
    LittleEndian,
    /// `seteipnum_be`
    BigEndian,
}

impl MsiPort {
    /// Decodes an offset in the page. All other bytes are read-only zeros.
    #[inline]
    pub const fn decode(offset: u64) -> Option<Self> {
        match offset {
            0 => Some(Self::LittleEndian),
            4 => Some(Self::BigEndian),
            _ => None,
        }
    }

    /// Returns the identity that a write of `data` by a little-endian hart means. A write of any
    /// other value is ignored.
    #[inline]
    pub fn identity(self, data: u32) -> Option<Identity> {
        Identity::new(match self {
            Self::LittleEndian => data,
            Self::BigEndian => data.swap_bytes(),
        })
    }
}

/// The number of an `iprio` register that exists where XLEN is 64: half the number in its name.
///
/// # Invariants
///
/// The number is below 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IprioReg(u8);

impl IprioReg {
    /// Returns the register whose number is in the low three bits.
    #[inline]
    pub const fn new(number: u32) -> Self {
        // INVARIANT: Three bits are left.
        Self((number & 7) as u8)
    }

    /// Returns the number.
    #[inline]
    pub const fn index(self) -> u32 {
        self.0 as u32 & 7
    }
}

/// A register that a hart accesses through `siselect` and `sireg` where XLEN is 64 (section 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndirectReg {
    /// Priorities of eight major interrupts (section 5.4.1).
    Iprio(IprioReg),
    /// A register of the interrupt file.
    Imsic(ImsicReg),
}

/// A register of an interrupt file that a hart accesses through `siselect` and `sireg` (section
/// 3.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImsicReg {
    /// `eidelivery`
    EiDelivery,
    /// `eithreshold`
    EiThreshold,
    /// `eip0`, `eip2`, ...
    Eip(Eix),
    /// `eie0`, `eie2`, ...
    Eie(Eix),
    /// Reads as zero, ignores writes.
    Reserved,
}

impl ImsicReg {
    /// Returns the value of `siselect` that selects the register.
    #[inline]
    pub const fn siselect(self) -> Option<u64> {
        match self {
            Self::EiDelivery => Some(0x70),
            Self::EiThreshold => Some(0x72),
            Self::Eip(eix) => Some(0x80 | (eix.index() as u64) << 1),
            Self::Eie(eix) => Some(0xc0 | (eix.index() as u64) << 1),
            Self::Reserved => None,
        }
    }
}

/// Why a value of `siselect` selects no register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelectError {
    /// The register exists only where XLEN is 32. An access raises an exception: that of an illegal
    /// instruction, or of a virtual instruction in VS-mode.
    Odd,
    /// The register belongs neither to the IMSIC nor to the priorities.
    Unknown,
}

impl IndirectReg {
    /// Decodes a value of `siselect`.
    #[inline]
    pub const fn decode(siselect: u64) -> Result<Self, SelectError> {
        let pair = (siselect >> 1) as u32;
        let is_odd = siselect & 1 != 0;
        Ok(match siselect {
            0x30..=0x3f | 0x80..=0xff if is_odd => return Err(SelectError::Odd),
            0x30..=0x3f => Self::Iprio(IprioReg::new(pair)),
            0x70 => Self::Imsic(ImsicReg::EiDelivery),
            0x72 => Self::Imsic(ImsicReg::EiThreshold),
            0x71 | 0x73..=0x7f => Self::Imsic(ImsicReg::Reserved),
            0x80..=0xbf => Self::Imsic(ImsicReg::Eip(Eix::new(pair))),
            0xc0..=0xff => Self::Imsic(ImsicReg::Eie(Eix::new(pair))),
            _ => return Err(SelectError::Unknown),
        })
    }
}

/// The fields of `hvictl` (section 6.3.2).
pub mod hvictl {
    /// Accesses of VS-mode to `sip` and `sie` trap.
    pub const VTI: u64 = 1 << 30;
    /// The interrupt's default priority is lower than that of the external interrupt.
    pub const DPR: u64 = 1 << 9;
    /// `vstopi` shows a priority.
    pub const IPRIOM: u64 = 1 << 8;

    /// The major interrupt that is asserted.
    pub const IID: u64 = 0xfff << IID_SHIFT;
    /// Its priority number.
    pub const IPRIO: u64 = 0xff;

    const IID_SHIFT: u32 = 16;

    /// Returns the value for a vCPU whose external interrupt is pending without a guest interrupt
    /// file. It stands for `top` of an interrupt file in memory, whose priority is its number, or
    /// for an interrupt of unknown priority, which gets the lowest (section 6.3.3).
    ///
    /// Numbers above 255 are as good as 255.
    #[inline]
    pub fn external(top: Option<super::Identity>) -> u64 {
        let number = top.map_or(IPRIO, |identity| u64::from(identity.number()));
        u64::from(super::EXTERNAL_INTERRUPT) << IID_SHIFT | number.min(IPRIO)
    }
}

/// The external interrupt at supervisor level, whose priority comes from the interrupt file.
pub const EXTERNAL_INTERRUPT: u32 = 9;

/// Returns the byte of `hviprio1`, or from 8 on of `hviprio2`, that has the priority of a major
/// interrupt, or [`None`] if there is none (section 6.3.1).
///
/// The bytes for interrupts 0, 4 and 8 are reserved.
#[inline]
pub const fn hviprio_byte(interrupt: u32) -> Option<u32> {
    match interrupt {
        1 => Some(1),
        5 => Some(3),
        13..=23 => Some(interrupt - 8),
        _ => None,
    }
}

/// The address that user space reads where it has set none.
pub const ADDR_UNDEFINED: u64 = u64::MAX;

/// An attribute of the group `KVM_DEV_RISCV_AIA_GRP_CONFIG`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigAttr {
    /// `KVM_DEV_RISCV_AIA_CONFIG_MODE`
    Mode,
    /// `KVM_DEV_RISCV_AIA_CONFIG_IDS`
    Ids,
    /// `KVM_DEV_RISCV_AIA_CONFIG_SRCS`
    Sources,
    /// `KVM_DEV_RISCV_AIA_CONFIG_GROUP_BITS`
    GroupBits,
    /// `KVM_DEV_RISCV_AIA_CONFIG_GROUP_SHIFT`
    GroupShift,
    /// `KVM_DEV_RISCV_AIA_CONFIG_HART_BITS`
    HartBits,
    /// `KVM_DEV_RISCV_AIA_CONFIG_GUEST_BITS`
    GuestBits,
}

/// An attribute of `KVM_DEV_TYPE_RISCV_AIA`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attr {
    /// The configuration: 32 bits.
    Config(ConfigAttr),
    /// The address of the APLIC: 64 bits.
    AplicAddr,
    /// The address of the IMSIC of the vCPU with this index: 64 bits.
    ImsicAddr(u64),
    /// The end of the configuration.
    Init,
    /// The register of the APLIC at this offset: 32 bits.
    Aplic {
        /// What [`AplicReg::decode`] takes.
        offset: u64,
    },
    /// A register of an IMSIC: 64 bits.
    Imsic {
        /// The id, not the index, of the vCPU.
        vcpu_id: u64,
        /// What [`IndirectReg::decode`] takes.
        siselect: u64,
    },
}

impl Attr {
    const ISEL_BITS: u32 = 12;

    /// Decodes the group and the number of an attribute, or returns [`None`] if there is no such
    /// attribute. Whether the vCPU or the register exists is for others to say.
    #[inline]
    pub const fn decode(group: u32, attr: u64) -> Option<Self> {
        Some(match (group, attr) {
            (0, 0) => Self::Config(ConfigAttr::Mode),
            (0, 1) => Self::Config(ConfigAttr::Ids),
            (0, 2) => Self::Config(ConfigAttr::Sources),
            (0, 3) => Self::Config(ConfigAttr::GroupBits),
            (0, 4) => Self::Config(ConfigAttr::GroupShift),
            (0, 5) => Self::Config(ConfigAttr::HartBits),
            (0, 6) => Self::Config(ConfigAttr::GuestBits),
            (1, 0) => Self::AplicAddr,
            (1, _) => Self::ImsicAddr(attr - 1),
            (2, 0) => Self::Init,
            (3, offset) => Self::Aplic { offset },
            (4, _) => Self::Imsic {
                vcpu_id: attr >> Self::ISEL_BITS,
                siselect: attr & ((1 << Self::ISEL_BITS) - 1),
            },
            _ => return None,
        })
    }
}
