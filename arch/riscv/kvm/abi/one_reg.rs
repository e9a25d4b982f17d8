// SPDX-License-Identifier: GPL-2.0

//! The ids of `KVM_GET_ONE_REG` and `KVM_SET_ONE_REG` on RV64.
//!
//! An id is a 64-bit number of user space. From the top: architecture (8 bits), size of the
//! register as a power of two (4 bits), zeros (20 bits), type (8 bits), and the register within
//! its type (24 bits), of which some types use the upper 8 as a subtype. [`Reg::decode`] turns it
//! into the register it means, [`Reg::encode`] turns a register into its id for the register list.
//!
//! References: `arch/riscv/include/uapi/asm/kvm.h`, `include/uapi/linux/kvm.h`, and
//! `Documentation/virt/kvm/api.rst`, "KVM_SET_ONE_REG".

use core::marker::PhantomData;

use crate::abi::{
    insn::Gpr,
    nospec, //
};

const ARCH_MASK: u64 = 0xff << 56;
const ARCH_RISCV: u64 = 0x80 << 56;
const SIZE_SHIFT: u32 = 52;
const SIZE_MASK: u64 = 0xf << SIZE_SHIFT;
const TYPE_SHIFT: u32 = 24;
const TYPE_MASK: u64 = 0xff << TYPE_SHIFT;
const SUBTYPE_SHIFT: u32 = 16;
const SUBTYPE_MASK: u64 = 0xff << SUBTYPE_SHIFT;

/// How many bytes a register takes in user space: always a power of two.
///
/// # Invariants
///
/// The exponent is in `0..=15`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(u8);

impl Size {
    /// Four bytes.
    pub const U32: Self = Self(2);
    /// Eight bytes: also the size of `unsigned long`.
    pub const U64: Self = Self(3);

    /// Takes the size from an id.
    #[inline]
    const fn of_id(id: u64) -> Self {
        // INVARIANT: the field is four bits wide.
        Self(((id & SIZE_MASK) >> SIZE_SHIFT) as u8)
    }

    /// Returns the size that is `bytes` large, or [`None`] if no id can express it.
    #[inline]
    pub const fn from_bytes(bytes: usize) -> Option<Self> {
        if !bytes.is_power_of_two() || bytes > 1 << 15 {
            return None;
        }
        // INVARIANT: the exponent of at most `1 << 15`.
        Some(Self(bytes.trailing_zeros() as u8))
    }

    /// Returns the size in bytes.
    #[inline]
    pub const fn bytes(self) -> usize {
        1 << (self.0 & 0xf)
    }
}

/// The set of registers, or of extensions, that a field of an id counts.
pub trait Numbered: Copy {
    /// How many there are.
    const COUNT: u64;

    /// Returns the one with this number, or [`None`] if there is none.
    ///
    /// User space chooses the number, and what is returned often chooses an entry of a table. So
    /// implementations take the number through [`nospec::below`].
    fn from_number(number: u64) -> Option<Self>;

    /// Returns the number, which is below [`Self::COUNT`].
    fn number(self) -> u64;

    /// Returns all of them, in the order of their numbers.
    #[inline]
    fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).filter_map(Self::from_number)
    }
}

/// Defines an enum that is [`Numbered`] by its discriminants, which count from zero.
macro_rules! numbered {
    (
        $(#[$attr:meta])*
        pub enum $name:ident {
            $($(#[$variant_attr:meta])* $variant:ident = $number:literal,)*
        }
    ) => {
        $(#[$attr])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_attr])* $variant = $number,)*
        }

        impl Numbered for $name {
            const COUNT: u64 = [$(Self::$variant),*].len() as u64;

            #[inline]
            fn from_number(number: u64) -> Option<Self> {
                match nospec::below(number, Self::COUNT)? {
                    $($number => Some(Self::$variant),)*
                    _ => None,
                }
            }

            #[inline]
            fn number(self) -> u64 {
                self as u64
            }
        }
    };
}

numbered! {
    /// What the vCPU is: `struct kvm_riscv_config`.
    pub enum ConfigReg {
        /// The single-letter extensions, as a bitmap.
        Isa = 0,
        /// The block size of Zicbom in bytes.
        ZicbomBlockSize = 1,
        /// The vendor of the hart.
        Mvendorid = 2,
        /// The microarchitecture of the hart.
        Marchid = 3,
        /// The version of the hart.
        Mimpid = 4,
        /// The block size of Zicboz in bytes.
        ZicbozBlockSize = 5,
        /// The largest mode that `satp` takes.
        SatpMode = 6,
        /// The block size of Zicbop in bytes.
        ZicbopBlockSize = 7,
    }
}

/// General purpose registers and the like: `struct kvm_riscv_core`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoreReg {
    /// The program counter.
    Pc,
    /// One of `x1..=x31`.
    X(Gpr),
    /// The privilege mode, [`MODE_S`] or [`MODE_U`].
    Mode,
}

/// The value of [`CoreReg::Mode`] for VU-mode.
pub const MODE_U: u64 = 0;
/// The value of [`CoreReg::Mode`] for VS-mode.
pub const MODE_S: u64 = 1;

impl Numbered for CoreReg {
    const COUNT: u64 = 33;

    #[inline]
    fn from_number(number: u64) -> Option<Self> {
        match nospec::below(number, Self::COUNT)? {
            // `x0` has no id. The number that it would have is that of `pc`.
            0 => Some(Self::Pc),
            number @ 1..=31 => Some(Self::X(Gpr::new(number as u32))),
            32 => Some(Self::Mode),
            _ => None,
        }
    }

    #[inline]
    fn number(self) -> u64 {
        match self {
            Self::Pc => 0,
            Self::X(x) => x.index() as u64,
            Self::Mode => 32,
        }
    }
}

numbered! {
    /// CSRs that every vCPU has: `struct kvm_riscv_csr`.
    pub enum GeneralCsr {
        /// Supervisor status.
        Sstatus = 0,
        /// Supervisor interrupt enable.
        Sie = 1,
        /// Supervisor trap vector.
        Stvec = 2,
        /// Supervisor scratch.
        Sscratch = 3,
        /// Supervisor exception program counter.
        Sepc = 4,
        /// Supervisor trap cause.
        Scause = 5,
        /// Supervisor trap value.
        Stval = 6,
        /// Supervisor interrupt pending.
        Sip = 7,
        /// Supervisor address translation and protection.
        Satp = 8,
        /// Supervisor counter enable.
        Scounteren = 9,
        /// Supervisor environment configuration.
        Senvcfg = 10,
    }
}

numbered! {
    /// CSRs of a vCPU with Ssaia: `struct kvm_riscv_aia_csr`.
    pub enum AiaCsr {
        /// Supervisor indirect register select.
        Siselect = 0,
        /// Priorities of major interrupts, first word.
        Iprio1 = 1,
        /// Priorities of major interrupts, second word.
        Iprio2 = 2,
        /// Upper half of `sie` on RV32.
        Sieh = 3,
        /// Upper half of `sip` on RV32.
        Siph = 4,
        /// Upper half of [`Self::Iprio1`] on RV32.
        Iprio1h = 5,
        /// Upper half of [`Self::Iprio2`] on RV32.
        Iprio2h = 6,
    }
}

numbered! {
    /// CSRs of a vCPU with Smstateen: `struct kvm_riscv_smstateen_csr`.
    pub enum SmstateenCsr {
        /// Supervisor state enable.
        Sstateen0 = 0,
    }
}

numbered! {
    /// CSRs of a vCPU with Zicfiss: `struct kvm_riscv_zicfiss_csr`.
    pub enum ZicfissCsr {
        /// Shadow stack pointer.
        Ssp = 0,
    }
}

/// Control and status registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CsrReg {
    /// One that every vCPU has.
    General(GeneralCsr),
    /// One that needs Ssaia.
    Aia(AiaCsr),
    /// One that needs Smstateen.
    Smstateen(SmstateenCsr),
    /// One that needs Zicfiss.
    Zicfiss(ZicfissCsr),
}

numbered! {
    /// The timer: `struct kvm_riscv_timer`.
    pub enum TimerReg {
        /// Ticks per second.
        Frequency = 0,
        /// The time that the guest sees.
        Time = 1,
        /// When the timer goes off.
        Compare = 2,
        /// Whether it is armed, [`TIMER_ON`] or [`TIMER_OFF`].
        State = 3,
    }
}

/// The value of [`TimerReg::State`] while the timer is not armed.
pub const TIMER_OFF: u64 = 0;
/// The value of [`TimerReg::State`] while the timer is armed.
pub const TIMER_ON: u64 = 1;

/// The number of a floating point or a vector register.
///
/// # Invariants
///
/// The number is in `0..=31`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegNum(u8);

impl RegNum {
    /// Returns the register's number, which is below 32.
    #[inline]
    pub const fn index(self) -> usize {
        // The mask changes nothing. It lets the compiler drop the bounds check of the caller.
        (self.0 & 0x1f) as usize
    }
}

impl Numbered for RegNum {
    const COUNT: u64 = 32;

    #[inline]
    fn from_number(number: u64) -> Option<Self> {
        // INVARIANT: by the count.
        nospec::below(number, Self::COUNT).map(|number| Self(number as u8))
    }

    #[inline]
    fn number(self) -> u64 {
        u64::from(self.0)
    }
}

/// Floating point registers: `struct __riscv_f_ext_state` or `struct __riscv_d_ext_state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FpReg {
    /// One of `f0..=f31`.
    F(RegNum),
    /// Control and status, 32 bits wide under both types.
    Fcsr,
}

impl Numbered for FpReg {
    const COUNT: u64 = RegNum::COUNT + 1;

    #[inline]
    fn from_number(number: u64) -> Option<Self> {
        if number == RegNum::COUNT {
            return Some(Self::Fcsr);
        }
        RegNum::from_number(number).map(Self::F)
    }

    #[inline]
    fn number(self) -> u64 {
        match self {
            Self::F(f) => f.number(),
            Self::Fcsr => RegNum::COUNT,
        }
    }
}

numbered! {
    /// CSRs of the vector extension: `struct __riscv_v_ext_state`.
    pub enum VectorCsr {
        /// First element to execute.
        Vstart = 0,
        /// Vector length.
        Vl = 1,
        /// Vector type.
        Vtype = 2,
        /// Control and status.
        Vcsr = 3,
        /// Bytes in a vector register.
        Vlenb = 4,
    }
}

/// Registers of the vector extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VectorReg {
    /// A CSR.
    Csr(VectorCsr),
    /// One of `v0..=v31`.
    V {
        /// Which.
        num: RegNum,
        /// The size in the id. It is invalid unless it equals `vlenb`, which is not known here.
        size: Size,
    },
}

impl VectorReg {
    /// The number of `v0`. The one before it is a pointer that the kernel keeps to itself.
    const V0: u64 = 6;
}

/// Extensions, one at a time or 64 together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtReg<E> {
    /// One extension: 1 if it is enabled, 0 if it is disabled.
    Single(E),
    /// A bitmap of the enabled ones. To write a one enables an extension.
    MultiEnable(ExtWord<E>),
    /// A bitmap of the others. To write a one disables an extension.
    MultiDisable(ExtWord<E>),
}

/// A bitmap of 64 extensions.
///
/// # Invariants
///
/// At least one bit stands for an extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtWord<E> {
    number: u8,
    extensions: PhantomData<E>,
}

impl<E: Numbered> ExtWord<E> {
    const BITS: u64 = 64;

    /// Returns the bitmap with this number, or [`None`] if there is no extension in it.
    pub fn from_number(number: u64) -> Option<Self> {
        if number >= E::COUNT.div_ceil(Self::BITS) {
            return None;
        }
        // INVARIANT: the number is that of a word which [`Numbered::COUNT`] extensions need.
        Some(Self {
            number: u8::try_from(number).ok()?,
            extensions: PhantomData,
        })
    }

    /// Returns the extensions in the bitmap, each with its bit.
    #[inline]
    pub fn extensions(self) -> impl Iterator<Item = (u64, E)> {
        let first = u64::from(self.number) * Self::BITS;

        (0..Self::BITS).filter_map(move |bit| {
            E::from_number(first + bit).map(|extension| (1 << bit, extension))
        })
    }
}

impl<E: Numbered> ExtReg<E> {
    const SINGLE: u64 = 0;
    const MULTI_ENABLE: u64 = 1;
    const MULTI_DISABLE: u64 = 2;

    #[inline]
    fn from_parts(subtype: u64, index: u64) -> Option<Self> {
        match subtype {
            Self::SINGLE => E::from_number(index).map(Self::Single),
            Self::MULTI_ENABLE => ExtWord::from_number(index).map(Self::MultiEnable),
            Self::MULTI_DISABLE => ExtWord::from_number(index).map(Self::MultiDisable),
            _ => None,
        }
    }

    #[inline]
    fn parts(self) -> (u64, u64) {
        match self {
            Self::Single(extension) => (Self::SINGLE, extension.number()),
            Self::MultiEnable(word) => (Self::MULTI_ENABLE, u64::from(word.number)),
            Self::MultiDisable(word) => (Self::MULTI_DISABLE, u64::from(word.number)),
        }
    }
}

numbered! {
    /// SBI extensions that can be enabled and disabled: `enum KVM_RISCV_SBI_EXT_ID`.
    pub enum SbiExtId {
        /// The extensions of SBI v0.1.
        V01 = 0,
        /// Timer.
        Time = 1,
        /// Inter-processor interrupts.
        Ipi = 2,
        /// Remote fences.
        Rfence = 3,
        /// System reset.
        Srst = 4,
        /// Hart state management.
        Hsm = 5,
        /// Performance monitoring unit.
        Pmu = 6,
        /// The range of experimental extensions.
        Experimental = 7,
        /// The range of vendor extensions.
        Vendor = 8,
        /// Debug console.
        Dbcn = 9,
        /// Steal-time accounting.
        Sta = 10,
        /// System suspend.
        Susp = 11,
        /// Firmware features.
        Fwft = 12,
        /// Message proxy.
        Mpxy = 13,
    }
}

numbered! {
    /// State of the steal-time extension: `struct kvm_riscv_sbi_sta`.
    pub enum StaReg {
        /// Lower half of the address of the shared memory.
        ShmemLo = 0,
        /// Upper half of it.
        ShmemHi = 1,
    }
}

numbered! {
    /// Firmware features, in the order of `struct kvm_riscv_sbi_fwft`.
    pub enum FwftFeature {
        /// Delegation of misaligned access exceptions.
        MisalignedDeleg = 0,
        /// Pointer masking.
        PointerMasking = 1,
        /// Updates of A and D bits by hardware.
        PteAdHwUpdating = 2,
        /// Landing pads.
        LandingPad = 3,
        /// Shadow stacks.
        ShadowStack = 4,
    }
}

numbered! {
    /// What there is to know of a firmware feature: `struct kvm_riscv_sbi_fwft_feature`.
    pub enum FwftField {
        /// Whether the guest may use it.
        Enable = 0,
        /// The flags that it was set with.
        Flags = 1,
        /// The value that it was set to.
        Value = 2,
    }
}

/// State of the firmware features extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FwftReg {
    /// The feature.
    pub feature: FwftFeature,
    /// What of it.
    pub field: FwftField,
}

impl Numbered for FwftReg {
    const COUNT: u64 = FwftFeature::COUNT * FwftField::COUNT;

    #[inline]
    fn from_number(number: u64) -> Option<Self> {
        Some(Self {
            feature: FwftFeature::from_number(number / FwftField::COUNT)?,
            field: FwftField::from_number(number % FwftField::COUNT)?,
        })
    }

    #[inline]
    fn number(self) -> u64 {
        self.feature.number() * FwftField::COUNT + self.field.number()
    }
}

/// State of an SBI extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SbiStateReg {
    /// Steal-time accounting.
    Sta(StaReg),
    /// Firmware features.
    Fwft(FwftReg),
}

/// The type field of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegType {
    /// [`Reg::Config`].
    Config = 1,
    /// [`Reg::Core`].
    Core = 2,
    /// [`Reg::Csr`].
    Csr = 3,
    /// [`Reg::Timer`].
    Timer = 4,
    /// [`Reg::FpF`].
    FpF = 5,
    /// [`Reg::FpD`].
    FpD = 6,
    /// [`Reg::IsaExt`].
    IsaExt = 7,
    /// [`Reg::SbiExt`].
    SbiExt = 8,
    /// [`Reg::Vector`].
    Vector = 9,
    /// [`Reg::SbiState`].
    SbiState = 10,
}

impl RegType {
    /// Takes the type from an id, or returns [`None`] if no type has this number.
    #[inline]
    const fn of_id(id: u64) -> Option<Self> {
        match (id & TYPE_MASK) >> TYPE_SHIFT {
            1 => Some(Self::Config),
            2 => Some(Self::Core),
            3 => Some(Self::Csr),
            4 => Some(Self::Timer),
            5 => Some(Self::FpF),
            6 => Some(Self::FpD),
            7 => Some(Self::IsaExt),
            8 => Some(Self::SbiExt),
            9 => Some(Self::Vector),
            10 => Some(Self::SbiState),
            _ => None,
        }
    }
}

/// A register of a vCPU. Whether this vCPU has it is another question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reg {
    /// What the vCPU is.
    Config(ConfigReg),
    /// A general purpose register or the like.
    Core(CoreReg),
    /// A control and status register.
    Csr(CsrReg),
    /// The timer.
    Timer(TimerReg),
    /// A floating point register in single precision.
    FpF(FpReg),
    /// A floating point register in double precision.
    FpD(FpReg),
    /// Extensions of the instruction set.
    IsaExt(ExtReg<IsaExtId>),
    /// Extensions of the SBI.
    SbiExt(ExtReg<SbiExtId>),
    /// A vector register.
    Vector(VectorReg),
    /// State of an SBI extension.
    SbiState(SbiStateReg),
}

/// Why an id means no register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdError {
    /// The size is not that of a register of this type: `EINVAL`.
    ///
    /// The type is there since a vCPU without the F, D or V extension has no such type at all,
    /// and should say so ([`IdError::NotFound`]) rather than to find fault with the size.
    InvalidSize(RegType),
    /// The SBI extension has no state with this number: `ENOENT`; or no extension has: `EINVAL`, as
    /// for the state of an extension that the vCPU does not have.
    NoSbiState(Option<SbiExtId>),
    /// No register has this number: `ENOENT`.
    NotFound,
}

impl Reg {
    /// Decodes an id.
    ///
    /// If several things are wrong with it, then an unknown type comes first, the size next, and
    /// the number within the type last. Two types differ: [`Reg::FpD`] and [`Reg::Vector`] have
    /// registers of several sizes, so that the number is looked at before the size.
    ///
    /// The architecture is not looked at. User space that leaves it out has always been served.
    pub fn decode(id: u64) -> Result<Self, IdError> {
        let reg_type = RegType::of_id(id).ok_or(IdError::NotFound)?;
        let size = Size::of_id(id);
        let expect = |expected: Size| {
            if size == expected {
                Ok(())
            } else {
                Err(IdError::InvalidSize(reg_type))
            }
        };

        // The bits that have no meaning stay in the number, which makes it one that nothing has.
        let number = id & !(ARCH_MASK | SIZE_MASK | TYPE_MASK);
        let subtype = (number & SUBTYPE_MASK) >> SUBTYPE_SHIFT;
        let index = number & !SUBTYPE_MASK;

        let reg = match reg_type {
            RegType::Config => {
                expect(Size::U64)?;
                ConfigReg::from_number(number).map(Self::Config)
            }
            RegType::Core => {
                expect(Size::U64)?;
                CoreReg::from_number(number).map(Self::Core)
            }
            RegType::Csr => {
                expect(Size::U64)?;
                CsrReg::from_parts(subtype, index).map(Self::Csr)
            }
            RegType::Timer => {
                expect(Size::U64)?;
                TimerReg::from_number(number).map(Self::Timer)
            }
            RegType::FpF => {
                expect(Size::U32)?;
                FpReg::from_number(number).map(Self::FpF)
            }
            RegType::FpD => match FpReg::from_number(number) {
                Some(reg) => {
                    expect(reg.size_d())?;
                    Some(Self::FpD(reg))
                }
                None => None,
            },
            RegType::IsaExt => {
                expect(Size::U64)?;
                ExtReg::from_parts(subtype, index).map(Self::IsaExt)
            }
            RegType::SbiExt => {
                expect(Size::U64)?;
                ExtReg::from_parts(subtype, index).map(Self::SbiExt)
            }
            RegType::Vector => match number.checked_sub(VectorReg::V0) {
                Some(num) => {
                    RegNum::from_number(num).map(|num| Self::Vector(VectorReg::V { num, size }))
                }
                None => {
                    expect(Size::U64)?;
                    VectorCsr::from_number(number).map(|csr| Self::Vector(VectorReg::Csr(csr)))
                }
            },
            RegType::SbiState => {
                expect(Size::U64)?;
                let state = SbiStateReg::from_parts(subtype, index);
                let ext = SbiStateReg::extension_of(subtype);
                return state.map(Self::SbiState).ok_or(IdError::NoSbiState(ext));
            }
        };

        reg.ok_or(IdError::NotFound)
    }

    /// Returns the id.
    pub fn encode(self) -> u64 {
        let (subtype, index) = match self {
            Self::Config(reg) => (0, reg.number()),
            Self::Core(reg) => (0, reg.number()),
            Self::Csr(reg) => reg.parts(),
            Self::Timer(reg) => (0, reg.number()),
            Self::FpF(reg) | Self::FpD(reg) => (0, reg.number()),
            Self::IsaExt(reg) => reg.parts(),
            Self::SbiExt(reg) => reg.parts(),
            Self::Vector(VectorReg::Csr(csr)) => (0, csr.number()),
            Self::Vector(VectorReg::V { num, .. }) => (0, VectorReg::V0 + num.number()),
            Self::SbiState(reg) => reg.parts(),
        };

        ARCH_RISCV
            | u64::from(self.size().0) << SIZE_SHIFT
            | (self.reg_type() as u64) << TYPE_SHIFT
            | subtype << SUBTYPE_SHIFT
            | index
    }

    /// Returns how much memory of user space the register takes.
    #[inline]
    pub const fn size(self) -> Size {
        match self {
            Self::Config(_)
            | Self::Core(_)
            | Self::Csr(_)
            | Self::Timer(_)
            | Self::IsaExt(_)
            | Self::SbiExt(_)
            | Self::SbiState(_)
            | Self::Vector(VectorReg::Csr(_)) => Size::U64,
            Self::FpF(_) => Size::U32,
            Self::FpD(reg) => reg.size_d(),
            Self::Vector(VectorReg::V { size, .. }) => size,
        }
    }

    /// Returns the type.
    #[inline]
    pub const fn reg_type(self) -> RegType {
        match self {
            Self::Config(_) => RegType::Config,
            Self::Core(_) => RegType::Core,
            Self::Csr(_) => RegType::Csr,
            Self::Timer(_) => RegType::Timer,
            Self::FpF(_) => RegType::FpF,
            Self::FpD(_) => RegType::FpD,
            Self::IsaExt(_) => RegType::IsaExt,
            Self::SbiExt(_) => RegType::SbiExt,
            Self::Vector(_) => RegType::Vector,
            Self::SbiState(_) => RegType::SbiState,
        }
    }
}

impl FpReg {
    /// Returns the size of the register under [`Reg::FpD`].
    #[inline]
    const fn size_d(self) -> Size {
        match self {
            Self::F(_) => Size::U64,
            Self::Fcsr => Size::U32,
        }
    }
}

impl CsrReg {
    const GENERAL: u64 = 0;
    const AIA: u64 = 1;
    const SMSTATEEN: u64 = 2;
    const ZICFISS: u64 = 3;

    fn from_parts(subtype: u64, index: u64) -> Option<Self> {
        match subtype {
            Self::GENERAL => GeneralCsr::from_number(index).map(Self::General),
            Self::AIA => AiaCsr::from_number(index).map(Self::Aia),
            Self::SMSTATEEN => SmstateenCsr::from_number(index).map(Self::Smstateen),
            Self::ZICFISS => ZicfissCsr::from_number(index).map(Self::Zicfiss),
            _ => None,
        }
    }

    fn parts(self) -> (u64, u64) {
        match self {
            Self::General(csr) => (Self::GENERAL, csr.number()),
            Self::Aia(csr) => (Self::AIA, csr.number()),
            Self::Smstateen(csr) => (Self::SMSTATEEN, csr.number()),
            Self::Zicfiss(csr) => (Self::ZICFISS, csr.number()),
        }
    }
}

impl SbiStateReg {
    const STA: u64 = 0;
    const FWFT: u64 = 1;

    /// Returns the extension whose state has a subtype.
    const fn extension_of(subtype: u64) -> Option<SbiExtId> {
        match subtype {
            Self::STA => Some(SbiExtId::Sta),
            Self::FWFT => Some(SbiExtId::Fwft),
            _ => None,
        }
    }

    /// Returns the extension that the register is of.
    pub const fn extension(self) -> SbiExtId {
        match self {
            Self::Sta(_) => SbiExtId::Sta,
            Self::Fwft(_) => SbiExtId::Fwft,
        }
    }

    fn from_parts(subtype: u64, index: u64) -> Option<Self> {
        match subtype {
            Self::STA => StaReg::from_number(index).map(Self::Sta),
            Self::FWFT => FwftReg::from_number(index).map(Self::Fwft),
            _ => None,
        }
    }

    fn parts(self) -> (u64, u64) {
        match self {
            Self::Sta(reg) => (Self::STA, reg.number()),
            Self::Fwft(reg) => (Self::FWFT, reg.number()),
        }
    }
}

numbered! {
    /// Extensions of the instruction set: `enum KVM_RISCV_ISA_EXT_ID`.
    pub enum IsaExtId {
        /// The A extension.
        A = 0,
        /// The C extension.
        C = 1,
        /// The D extension.
        D = 2,
        /// The F extension.
        F = 3,
        /// The H extension.
        H = 4,
        /// The I extension.
        I = 5,
        /// The M extension.
        M = 6,
        /// The Svpbmt extension.
        Svpbmt = 7,
        /// The Sstc extension.
        Sstc = 8,
        /// The Svinval extension.
        Svinval = 9,
        /// The Zihintpause extension.
        Zihintpause = 10,
        /// The Zicbom extension.
        Zicbom = 11,
        /// The Zicboz extension.
        Zicboz = 12,
        /// The Zbb extension.
        Zbb = 13,
        /// The Ssaia extension.
        Ssaia = 14,
        /// The V extension.
        V = 15,
        /// The Svnapot extension.
        Svnapot = 16,
        /// The Zba extension.
        Zba = 17,
        /// The Zbs extension.
        Zbs = 18,
        /// The Zicntr extension.
        Zicntr = 19,
        /// The Zicsr extension.
        Zicsr = 20,
        /// The Zifencei extension.
        Zifencei = 21,
        /// The Zihpm extension.
        Zihpm = 22,
        /// The Smstateen extension.
        Smstateen = 23,
        /// The Zicond extension.
        Zicond = 24,
        /// The Zbc extension.
        Zbc = 25,
        /// The Zbkb extension.
        Zbkb = 26,
        /// The Zbkc extension.
        Zbkc = 27,
        /// The Zbkx extension.
        Zbkx = 28,
        /// The Zknd extension.
        Zknd = 29,
        /// The Zkne extension.
        Zkne = 30,
        /// The Zknh extension.
        Zknh = 31,
        /// The Zkr extension.
        Zkr = 32,
        /// The Zksed extension.
        Zksed = 33,
        /// The Zksh extension.
        Zksh = 34,
        /// The Zkt extension.
        Zkt = 35,
        /// The Zvbb extension.
        Zvbb = 36,
        /// The Zvbc extension.
        Zvbc = 37,
        /// The Zvkb extension.
        Zvkb = 38,
        /// The Zvkg extension.
        Zvkg = 39,
        /// The Zvkned extension.
        Zvkned = 40,
        /// The Zvknha extension.
        Zvknha = 41,
        /// The Zvknhb extension.
        Zvknhb = 42,
        /// The Zvksed extension.
        Zvksed = 43,
        /// The Zvksh extension.
        Zvksh = 44,
        /// The Zvkt extension.
        Zvkt = 45,
        /// The Zfh extension.
        Zfh = 46,
        /// The Zfhmin extension.
        Zfhmin = 47,
        /// The Zihintntl extension.
        Zihintntl = 48,
        /// The Zvfh extension.
        Zvfh = 49,
        /// The Zvfhmin extension.
        Zvfhmin = 50,
        /// The Zfa extension.
        Zfa = 51,
        /// The Ztso extension.
        Ztso = 52,
        /// The Zacas extension.
        Zacas = 53,
        /// The Sscofpmf extension.
        Sscofpmf = 54,
        /// The Zimop extension.
        Zimop = 55,
        /// The Zca extension.
        Zca = 56,
        /// The Zcb extension.
        Zcb = 57,
        /// The Zcd extension.
        Zcd = 58,
        /// The Zcf extension.
        Zcf = 59,
        /// The Zcmop extension.
        Zcmop = 60,
        /// The Zawrs extension.
        Zawrs = 61,
        /// The Smnpm extension.
        Smnpm = 62,
        /// The Ssnpm extension.
        Ssnpm = 63,
        /// The Svade extension.
        Svade = 64,
        /// The Svadu extension.
        Svadu = 65,
        /// The Svvptc extension.
        Svvptc = 66,
        /// The Zabha extension.
        Zabha = 67,
        /// The Ziccrse extension.
        Ziccrse = 68,
        /// The Zaamo extension.
        Zaamo = 69,
        /// The Zalrsc extension.
        Zalrsc = 70,
        /// The Zicbop extension.
        Zicbop = 71,
        /// The Zfbfmin extension.
        Zfbfmin = 72,
        /// The Zvfbfmin extension.
        Zvfbfmin = 73,
        /// The Zvfbfwma extension.
        Zvfbfwma = 74,
        /// The Zclsd extension.
        Zclsd = 75,
        /// The Zilsd extension.
        Zilsd = 76,
        /// The Zalasr extension.
        Zalasr = 77,
        /// The Zicfilp extension.
        Zicfilp = 78,
        /// The Zicfiss extension.
        Zicfiss = 79,
    }
}
