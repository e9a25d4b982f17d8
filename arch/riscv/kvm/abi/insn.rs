// SPDX-License-Identifier: GPL-2.0

//! Decoding of trapped guest instructions (RV64).
//!
//! A trap handler learns of the trapping instruction from one of three places, each a constructor
//! here: the `htinst` CSR ([`Htinst::decode`]), the `stval` CSR ([`TrapInsn::from_stval`]), or
//! guest memory ([`TrapInsn::fetched`]). All three give a [`TrapInsn`], which [`decode_load`],
//! [`decode_store`] and [`decode_system`] turn into something that can be emulated.
//!
//! Everything decoded is under the guest's control. Any value is accepted, and what is not a valid
//! encoding of an instruction listed here decodes to [`None`].
//!
//! References: RISC-V Instruction Set Manual. Volume I: "RV32I Base Integer Instruction Set",
//! "RV64I Base Integer Instruction Set", "C Extension for Compressed Instructions",
//! "Zc* Extension for Code Size Reduction" (Zcb), "Zicsr Extension", "Zawrs Extension". Volume II:
//! "Transformed Instruction or Pseudoinstruction for `mtinst` or `htinst`".

/// The encoding of WFI, which has no operands.
const WFI: u32 = 0x1050_0073;

/// A general purpose register.
///
/// # Invariants
///
/// The number is in `0..=31`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gpr(u8);

impl Gpr {
    /// `x0`, which always reads as zero and ignores writes.
    pub const ZERO: Self = Self(0);

    /// Takes the register from the low five bits of `field`, as 32-bit encodings have it.
    #[inline]
    pub const fn new(field: u32) -> Self {
        // INVARIANT: five bits hold 31 at most.
        Self((field & 0x1f) as u8)
    }

    /// Takes one of `x8..=x15` from the low three bits of `field`, as most 16-bit encodings have
    /// it.
    #[inline]
    const fn compressed(field: u32) -> Self {
        Self::new(8 | (field & 0x7))
    }

    /// Returns the register's number, which is below 32.
    #[inline]
    pub const fn index(self) -> usize {
        // The mask changes nothing. It lets the compiler drop the bounds check of the caller.
        (self.0 & 0x1f) as usize
    }

    /// Returns whether this is `x0`.
    #[inline]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

/// How many bytes of memory an access touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// One byte.
    B,
    /// A half word: two bytes.
    H,
    /// A word: four bytes.
    W,
    /// A double word: eight bytes.
    D,
}

impl Width {
    /// Decodes the low two bits of `funct3` of a load or a store.
    #[inline]
    const fn from_funct3(funct3: u32) -> Self {
        match funct3 & 0x3 {
            0 => Self::B,
            1 => Self::H,
            2 => Self::W,
            _ => Self::D,
        }
    }

    /// Returns the width in bytes: 1, 2, 4 or 8.
    #[inline]
    pub const fn bytes(self) -> usize {
        match self {
            Self::B => 1,
            Self::H => 2,
            Self::W => 4,
            Self::D => 8,
        }
    }

    /// Returns whether an access of this width at `addr` is naturally aligned.
    #[inline]
    pub const fn is_aligned(self, addr: u64) -> bool {
        addr & (self.bytes() as u64 - 1) == 0
    }
}

/// How many bytes an instruction takes in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InsnLen {
    /// A compressed instruction.
    Two,
    /// A standard instruction.
    Four,
}

impl InsnLen {
    /// Returns the length in bytes: 2 or 4.
    #[inline]
    pub const fn bytes(self) -> u64 {
        match self {
            Self::Two => 2,
            Self::Four => 4,
        }
    }
}

/// Returns whether the instruction that starts with `parcel` is 16 bits long, that is, whether
/// there is no second parcel to fetch.
#[inline]
pub const fn is_compressed(parcel: u16) -> bool {
    parcel & 0x3 != 0x3
}

/// The encoding of a trapped instruction and its length in guest memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrapInsn {
    /// A 16-bit encoding, zero-extended, or a 32-bit encoding. The low two bits tell which.
    raw: u32,
    /// The length in guest memory. Not always the length of `raw`: see [`Htinst::Transformed`].
    len: InsnLen,
}

impl TrapInsn {
    /// An instruction read from guest memory.
    ///
    /// Bits 31:16 are ignored when bits 15:0 are a compressed instruction. No encoding above 32
    /// bits is defined; the first 32 bits of one decode to nothing.
    #[inline]
    pub const fn fetched(raw: u32) -> Self {
        let parcel = raw as u16;

        if is_compressed(parcel) {
            Self {
                raw: parcel as u32,
                len: InsnLen::Two,
            }
        } else {
            Self {
                raw,
                len: InsnLen::Four,
            }
        }
    }

    /// The instruction in `stval` after an illegal-instruction or a virtual-instruction exception.
    ///
    /// Returns [`None`] if the hart did not write it there, so that it must be fetched. A hart
    /// writes the instruction right-justified or writes zero (volume II, "Supervisor Trap Value
    /// (`stval`) Register").
    #[inline]
    pub const fn from_stval(stval: u64) -> Option<Self> {
        if stval == 0 || stval >> 32 != 0 {
            None
        } else {
            Some(Self::fetched(stval as u32))
        }
    }

    /// Returns whether `stval` holds the instruction, and it is WFI.
    #[inline(always)]
    pub const fn is_wfi_in_stval(stval: u64) -> bool {
        stval == WFI as u64
    }

    /// Returns the encoding, which is the guest's own unless the instruction came from `htinst`.
    #[inline]
    pub const fn raw(self) -> u32 {
        self.raw
    }

    /// Returns the length in guest memory: how far to move `sepc` once this is emulated.
    #[inline]
    pub const fn len(self) -> InsnLen {
        self.len
    }

    /// Returns the bits `[lo + width - 1 : lo]` of the encoding.
    #[inline]
    const fn bits(self, lo: u32, width: u32) -> u32 {
        (self.raw >> lo) & ((1 << width) - 1)
    }

    /// Returns the major opcode of a 32-bit encoding, or [`None`] for a 16-bit one.
    #[inline]
    const fn opcode(self) -> Option<u32> {
        if self.bits(0, 2) == 0x3 {
            Some(self.bits(0, 7))
        } else {
            None
        }
    }

    /// Returns `funct3` of a 32-bit encoding.
    #[inline]
    const fn funct3(self) -> u32 {
        self.bits(12, 3)
    }

    /// Returns the quadrant and `funct3` of a 16-bit encoding.
    #[inline]
    const fn compressed_opcode(self) -> (u32, u32) {
        (self.bits(0, 2), self.bits(13, 3))
    }
}

/// Major opcodes of 32-bit encodings (volume I, "RV32/64G Instruction Set Listings").
mod opcode {
    pub(super) const LOAD: u32 = 0b000_0011;
    pub(super) const STORE: u32 = 0b010_0011;
    pub(super) const SYSTEM: u32 = 0b111_0011;
}

/// 16-bit encodings, as [`TrapInsn::compressed_opcode`] gives them (volume I, "RVC Instruction Set
/// Listings").
mod rvc {
    pub(super) const LW: (u32, u32) = (0, 0b010);
    pub(super) const LD: (u32, u32) = (0, 0b011);
    /// Zcb loads and stores of bytes and half words.
    pub(super) const ZCB: (u32, u32) = (0, 0b100);
    pub(super) const SW: (u32, u32) = (0, 0b110);
    pub(super) const SD: (u32, u32) = (0, 0b111);
    pub(super) const LWSP: (u32, u32) = (2, 0b010);
    pub(super) const LDSP: (u32, u32) = (2, 0b011);
    pub(super) const SWSP: (u32, u32) = (2, 0b110);
    pub(super) const SDSP: (u32, u32) = (2, 0b111);
}

/// What `htinst` says about a trap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Htinst {
    /// Nothing: the instruction must be fetched from guest memory.
    Unknown,
    /// The trapped instruction, transformed.
    ///
    /// The encoding is that of a 32-bit instruction even if the guest's is compressed, its
    /// immediate is zero, and its `rs1` field is not a register.
    Transformed {
        /// The instruction.
        insn: TrapInsn,
        /// How far the address that has faulted lies behind the first byte of the access ("Addr.
        /// Offset"). It is zero unless the access is misaligned, and only a part of it has faulted.
        offset: u8,
    },
    /// The access was made by the walk of a VS-stage page table, not by the instruction at `sepc`,
    /// which must therefore not be emulated.
    PageTableWalk {
        /// The hart was about to set the accessed or dirty bit.
        write: bool,
    },
}

impl Htinst {
    /// Decodes the value of `htinst` (or `mtinst`).
    ///
    /// As the specification allows, a value outside of the defined cases is taken as zero. That
    /// includes everything with a bit set in 63:32, so that a later revision can give those bits
    /// a meaning.
    #[inline]
    pub const fn decode(htinst: u64) -> Self {
        match htinst {
            0x2000 | 0x3000 => Self::PageTableWalk { write: false },
            0x2020 | 0x3020 => Self::PageTableWalk { write: true },
            _ if htinst >> 32 == 0 && htinst & 1 != 0 => Self::Transformed {
                insn: TrapInsn {
                    // Bit 1 is not a part of the encoding here, it tells the original length.
                    raw: htinst as u32 | 0x2,
                    len: if htinst & 0x2 == 0 {
                        InsnLen::Two
                    } else {
                        InsnLen::Four
                    },
                },
                offset: (htinst >> 15 & 0x1f) as u8,
            },
            _ => Self::Unknown,
        }
    }
}

/// A load from memory into a general purpose register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// The register to load, which may be `x0`: the access is made all the same.
    pub rd: Gpr,
    /// How much to load.
    pub width: Width,
    /// Whether to sign-extend what is loaded, rather than zero-extend it.
    pub sign_extend: bool,
    /// The length of the instruction.
    pub len: InsnLen,
}

/// A store of a general purpose register to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Store {
    /// The register that holds the data.
    pub rs2: Gpr,
    /// How much of it to store, from bit 0 on.
    pub width: Width,
    /// The length of the instruction.
    pub len: InsnLen,
}

/// Decodes a load: `lb`, `lh`, `lw`, `ld`, `lbu`, `lhu`, `lwu`, `c.lw`, `c.ld`, `c.lwsp`,
/// `c.ldsp`, `c.lbu`, `c.lhu` and `c.lh`.
#[inline]
pub const fn decode_load(insn: TrapInsn) -> Option<Load> {
    let (rd, width, sign_extend) = match insn.opcode() {
        Some(opcode::LOAD) => {
            let funct3 = insn.funct3();

            if funct3 == 0b111 {
                return None;
            }
            let sign_extend = funct3 & 0b100 == 0;
            (
                Gpr::new(insn.bits(7, 5)),
                Width::from_funct3(funct3),
                sign_extend,
            )
        }
        Some(_) => return None,
        None => {
            let rd = Gpr::new(insn.bits(7, 5));
            let rd_prime = Gpr::compressed(insn.bits(2, 3));

            match insn.compressed_opcode() {
                rvc::LW => (rd_prime, Width::W, true),
                rvc::LD => (rd_prime, Width::D, true),
                rvc::ZCB => match (insn.bits(10, 3), insn.bits(6, 1)) {
                    (0b000, _) => (rd_prime, Width::B, false),
                    (0b001, 0) => (rd_prime, Width::H, false),
                    (0b001, _) => (rd_prime, Width::H, true),
                    _ => return None,
                },
                // The code points with `x0` are reserved.
                rvc::LWSP if !rd.is_zero() => (rd, Width::W, true),
                rvc::LDSP if !rd.is_zero() => (rd, Width::D, true),
                _ => return None,
            }
        }
    };

    Some(Load {
        rd,
        width,
        sign_extend,
        len: insn.len,
    })
}

/// Decodes a store: `sb`, `sh`, `sw`, `sd`, `c.sw`, `c.sd`, `c.swsp`, `c.sdsp`, `c.sb` and `c.sh`.
#[inline]
pub const fn decode_store(insn: TrapInsn) -> Option<Store> {
    let (rs2, width) = match insn.opcode() {
        Some(opcode::STORE) => {
            let funct3 = insn.funct3();

            if funct3 > 0b011 {
                return None;
            }
            (Gpr::new(insn.bits(20, 5)), Width::from_funct3(funct3))
        }
        Some(_) => return None,
        None => {
            let rs2 = Gpr::new(insn.bits(2, 5));
            let rs2_prime = Gpr::compressed(insn.bits(2, 3));

            match insn.compressed_opcode() {
                rvc::SW => (rs2_prime, Width::W),
                rvc::SD => (rs2_prime, Width::D),
                rvc::ZCB => match (insn.bits(10, 3), insn.bits(6, 1)) {
                    (0b010, _) => (rs2_prime, Width::B),
                    (0b011, 0) => (rs2_prime, Width::H),
                    _ => return None,
                },
                rvc::SWSP => (rs2, Width::W),
                rvc::SDSP => (rs2, Width::D),
                _ => return None,
            }
        }
    };

    Some(Store {
        rs2,
        width,
        len: insn.len,
    })
}

/// The address of a load or a store, as the guest's own encoding gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressOperand {
    /// The register with the base address.
    pub base: Gpr,
    /// The immediate, which is added to it.
    pub offset: i16,
}

impl AddressOperand {
    /// Returns the address. `gpr` is asked for the value of the base register.
    #[inline]
    pub fn address(self, gpr: impl FnOnce(Gpr) -> u64) -> u64 {
        gpr(self.base).wrapping_add_signed(i64::from(self.offset))
    }

    /// Returns whether the access begins at `gva`, as far as bits 11:0 tell.
    ///
    /// The bits above say nothing, because pointer masking (Ssnpm, Smnpm) replaces some of them. If
    /// a part of a misaligned access faults alone, then the part begins at a page boundary, and the
    /// access in the last bytes of the page before; so bits 11:0 always tell the two apart.
    #[inline]
    pub fn begins_at(self, gva: u64, gpr: impl FnOnce(Gpr) -> u64) -> bool {
        (self.address(gpr) ^ gva) & 0xfff == 0
    }
}

/// Decodes the address of an instruction that [`decode_load`] or [`decode_store`] decodes, and that
/// is not from `htinst`, which has no address.
pub const fn decode_address(insn: TrapInsn) -> Option<AddressOperand> {
    let is_load = decode_load(insn).is_some();
    if !is_load && decode_store(insn).is_none() {
        return None;
    }
    let (base, offset) = match insn.opcode() {
        // Bits 31:20, and bits 31:25 and 11:7; the sign is in bit 31.
        Some(_) => (
            Gpr::new(insn.bits(15, 5)),
            if is_load {
                (insn.raw as i32 >> 20) as i16
            } else {
                ((insn.raw as i32 >> 25) << 5) as i16 | insn.bits(7, 5) as i16
            },
        ),
        None => {
            let base = Gpr::compressed(insn.bits(7, 3));
            let sp = Gpr::new(2);

            // The bits of an offset stand in another order in each form.
            let (base, offset) = match insn.compressed_opcode() {
                rvc::LW | rvc::SW => (
                    base,
                    insn.bits(10, 3) << 3 | insn.bits(6, 1) << 2 | insn.bits(5, 1) << 6,
                ),
                rvc::LD | rvc::SD => (base, insn.bits(10, 3) << 3 | insn.bits(5, 2) << 6),
                // A byte has an offset of two bits, a half word one of bit 1 alone.
                rvc::ZCB if insn.bits(10, 1) == 0 => (base, insn.bits(6, 1) | insn.bits(5, 1) << 1),
                rvc::ZCB => (base, insn.bits(5, 1) << 1),
                rvc::LWSP => (
                    sp,
                    insn.bits(4, 3) << 2 | insn.bits(12, 1) << 5 | insn.bits(2, 2) << 6,
                ),
                rvc::LDSP => (
                    sp,
                    insn.bits(5, 2) << 3 | insn.bits(12, 1) << 5 | insn.bits(2, 3) << 6,
                ),
                rvc::SWSP => (sp, insn.bits(9, 4) << 2 | insn.bits(7, 2) << 6),
                rvc::SDSP => (sp, insn.bits(10, 3) << 3 | insn.bits(7, 3) << 6),
                _ => return None,
            };
            (base, offset as i16)
        }
    };

    Some(AddressOperand { base, offset })
}

/// Returns what a load leaves in its register, given the bytes that it read as a little-endian
/// number. Bits of `raw` above `width` are ignored.
#[inline]
pub const fn extend(raw: u64, width: Width, sign_extend: bool) -> u64 {
    match (width, sign_extend) {
        (Width::B, false) => raw as u8 as u64,
        (Width::B, true) => raw as i8 as u64,
        (Width::H, false) => raw as u16 as u64,
        (Width::H, true) => raw as i16 as u64,
        (Width::W, false) => raw as u32 as u64,
        (Width::W, true) => raw as i32 as u64,
        (Width::D, _) => raw,
    }
}

/// What a CSR instruction does with its operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CsrOp {
    /// `csrrw`, `csrrwi`: the operand replaces the value.
    Write,
    /// `csrrs`, `csrrsi`: the operand's ones are set.
    Set,
    /// `csrrc`, `csrrci`: the operand's ones are cleared.
    Clear,
}

/// The operand of a CSR instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CsrOperand {
    /// The value of a register.
    Reg(Gpr),
    /// A constant, below 32.
    Imm(u8),
}

/// An instruction of the Zicsr extension. They all are four bytes long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CsrInsn {
    /// The number of the CSR, below 4096.
    pub csr: u16,
    /// The register that receives the old value.
    pub rd: Gpr,
    /// What to do.
    pub op: CsrOp,
    /// What to do it with.
    pub operand: CsrOperand,
}

/// A write to a CSR: `new = (old & !mask) | (value & mask)`.
///
/// The fields are those that user space finds in `kvm_run` as `write_mask` and `new_value` on
/// `KVM_EXIT_RISCV_CSR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CsrWrite {
    /// The bits to change.
    pub mask: u64,
    /// What to change them to.
    pub value: u64,
}

impl CsrInsn {
    /// The length of every CSR instruction.
    pub const LEN: InsnLen = InsnLen::Four;

    /// Returns whether the instruction reads the CSR, with the side effects that this has.
    ///
    /// `csrrw` and `csrrwi` to `x0` do not.
    #[inline]
    pub const fn reads(self) -> bool {
        !matches!(self.op, CsrOp::Write) || !self.rd.is_zero()
    }

    /// Returns whether the instruction writes the CSR, which is illegal if that is read-only.
    ///
    /// To set or to clear the bits of `x0` or of a zero constant is no write. To set or to clear
    /// those of another register is one even if the register happens to be zero.
    #[inline]
    pub const fn writes(self) -> bool {
        match (self.op, self.operand) {
            (CsrOp::Write, _) => true,
            (CsrOp::Set | CsrOp::Clear, CsrOperand::Reg(rs1)) => !rs1.is_zero(),
            (CsrOp::Set | CsrOp::Clear, CsrOperand::Imm(uimm)) => uimm != 0,
        }
    }

    /// Returns what the instruction writes, with no bit in the mask if it only reads.
    ///
    /// `gpr` is asked for the value of `rs1` if the instruction has one that is not `x0`.
    #[inline]
    pub fn write(self, gpr: impl FnOnce(Gpr) -> u64) -> CsrWrite {
        let operand = match self.operand {
            CsrOperand::Reg(Gpr::ZERO) => 0,
            CsrOperand::Reg(rs1) => gpr(rs1),
            CsrOperand::Imm(uimm) => u64::from(uimm),
        };

        match self.op {
            CsrOp::Write => CsrWrite {
                mask: u64::MAX,
                value: operand,
            },
            CsrOp::Set => CsrWrite {
                mask: operand,
                value: u64::MAX,
            },
            CsrOp::Clear => CsrWrite {
                mask: operand,
                value: 0,
            },
        }
    }
}

impl CsrWrite {
    /// Returns what becomes of a CSR that holds `old`.
    #[inline]
    pub const fn apply(self, old: u64) -> u64 {
        (old & !self.mask) | (self.value & self.mask)
    }
}

/// An instruction of the SYSTEM opcode that can trap as a virtual instruction and be emulated.
/// They all are four bytes long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// An access to a CSR.
    Csr(CsrInsn),
    /// `wfi`: wait for an interrupt.
    Wfi,
    /// `wrs.nto` or `wrs.sto`: wait on a reservation set.
    Wrs,
}

/// Decodes an instruction of the SYSTEM opcode.
///
/// Privileged instructions that a hypervisor has no reason to emulate (`sret`, fences, `hlv`…)
/// decode to [`None`].
#[inline]
pub const fn decode_system(insn: TrapInsn) -> Option<System> {
    const WRS_NTO: u32 = 0x00d0_0073;
    const WRS_STO: u32 = 0x01d0_0073;

    // None has a compressed form, so `htinst` cannot rightly tell of one.
    if let InsnLen::Two = insn.len {
        return None;
    }

    match insn.raw {
        WFI => return Some(System::Wfi),
        WRS_NTO | WRS_STO => return Some(System::Wrs),
        _ => {}
    }

    match insn.opcode() {
        Some(opcode::SYSTEM) => {}
        _ => return None,
    }

    let op = match insn.bits(12, 2) {
        0b01 => CsrOp::Write,
        0b10 => CsrOp::Set,
        0b11 => CsrOp::Clear,
        _ => return None,
    };
    let rs1 = insn.bits(15, 5);
    let operand = if insn.bits(14, 1) == 0 {
        CsrOperand::Reg(Gpr::new(rs1))
    } else {
        CsrOperand::Imm(rs1 as u8)
    };

    Some(System::Csr(CsrInsn {
        csr: insn.bits(20, 12) as u16,
        rd: Gpr::new(insn.bits(7, 5)),
        op,
        operand,
    }))
}
