// SPDX-License-Identifier: GPL-2.0

//! Tests of the decoding of guest instructions.

use kvm_riscv_logic::abi::insn::{
    decode_load,
    decode_store,
    decode_system,
    extend,
    is_compressed,
    CsrInsn,
    CsrOp,
    CsrOperand,
    CsrWrite,
    Gpr,
    Htinst,
    InsnLen,
    Load,
    Store,
    System,
    TrapInsn,
    Width, //
};

/// What LLVM's assembler makes of each instruction, of the kinds that are decoded and of others.
const ASSEMBLED: &[(u32, &str)] = &[
    (0x00050003, "lb zero, 0(a0)"),
    (0x80010083, "lb ra, -2048(sp)"),
    (0x00221183, "lh gp, 2(tp)"),
    (0x7ff32283, "lw t0, 2047(t1)"),
    (0x00843383, "ld t2, 8(s0)"),
    (0x00154483, "lbu s1, 1(a0)"),
    (0xffe65583, "lhu a1, -2(a2)"),
    (0x00476683, "lwu a3, 4(a4)"),
    (0x000f3f83, "ld t6, 0(t5)"),
    (0x00052507, "flw fa0, 0(a0)"),
    (0x00053507, "fld fa0, 0(a0)"),
    (0x00050023, "sb zero, 0(a0)"),
    (0xfef80fa3, "sb a5, -1(a6)"),
    (0x7f191f23, "sh a7, 2046(s2)"),
    (0x013a2223, "sw s3, 4(s4)"),
    (0xff5b3c23, "sd s5, -8(s6)"),
    (0x01ff3023, "sd t6, 0(t5)"),
    (0x00a52027, "fsw fa0, 0(a0)"),
    (0x00a53027, "fsd fa0, 0(a0)"),
    (0x00b6252f, "amoadd.w a0, a1, (a2)"),
    (0x1005b52f, "lr.d a0, (a1)"),
    (0x18b6252f, "sc.w a0, a1, (a2)"),
    (0x4380, "c.lw s0, 0(a5)"),
    (0x5c7c, "c.lw a5, 124(s0)"),
    (0x6104, "c.ld s1, 0(a0)"),
    (0x7ef8, "c.ld a4, 248(a3)"),
    (0x4082, "c.lwsp ra, 0(sp)"),
    (0x5ffe, "c.lwsp t6, 252(sp)"),
    (0x757e, "c.ldsp a0, 504(sp)"),
    (0x6d82, "c.ldsp s11, 0(sp)"),
    (0x81e8, "c.lbu a0, 3(a1)"),
    (0x801c, "c.lbu a5, 0(s0)"),
    (0x87a0, "c.lhu s0, 2(a5)"),
    (0x860c, "c.lhu a1, 0(a2)"),
    (0x84e8, "c.lh a0, 2(s1)"),
    (0x875c, "c.lh a5, 0(a4)"),
    (0xc380, "c.sw s0, 0(a5)"),
    (0xdc7c, "c.sw a5, 124(s0)"),
    (0xe104, "c.sd s1, 0(a0)"),
    (0xfef8, "c.sd a4, 248(a3)"),
    (0xc002, "c.swsp zero, 0(sp)"),
    (0xc006, "c.swsp ra, 0(sp)"),
    (0xdffe, "c.swsp t6, 252(sp)"),
    (0xe402, "c.sdsp zero, 8(sp)"),
    (0xffaa, "c.sdsp a0, 504(sp)"),
    (0xe06e, "c.sdsp s11, 0(sp)"),
    (0x89e8, "c.sb a0, 3(a1)"),
    (0x881c, "c.sb a5, 0(s0)"),
    (0x8fa0, "c.sh s0, 2(a5)"),
    (0x8e0c, "c.sh a1, 0(a2)"),
    (0x2108, "c.fld fa0, 0(a0)"),
    (0xa108, "c.fsd fa0, 0(a0)"),
    (0x2502, "c.fldsp fa0, 0(sp)"),
    (0xa02a, "c.fsdsp fa0, 0(sp)"),
    (0x0001, "c.nop"),
    (0x0000, "c.unimp"),
    (0x9d61, "c.zext.b a0"),
    (0x10500073, "wfi"),
    (0x00d00073, "wrs.nto"),
    (0x01d00073, "wrs.sto"),
    (0xc0059573, "csrrw a0, 0xc00, a1"),
    (0x01501073, "csrrw zero, 0x015, zero"),
    (0xffff2ff3, "csrrs t6, 0xfff, t5"),
    (0xc0102573, "csrrs a0, 0xc01, zero"),
    (0x5a84b473, "csrrc s0, 0x5a8, s1"),
    (0x150fd573, "csrrwi a0, 0x150, 31"),
    (0x100060f3, "csrrsi ra, 0x100, 0"),
    (0x10417173, "csrrci sp, 0x104, 2"),
    (0x00000073, "ecall"),
    (0x00100073, "ebreak"),
    (0x10200073, "sret"),
    (0x30200073, "mret"),
    (0x12b50073, "sfence.vma a0, a1"),
    (0x62b50073, "hfence.gvma a0, a1"),
    (0x6805c573, "hlv.w a0, (a1)"),
    (0x6ea5c073, "hsv.d a0, (a1)"),
    (0x6435c573, "hlvx.hu a0, (a1)"),
    (0x0ff0000f, "fence"),
    (0x0000100f, "fence.i"),
    (0x00150513, "addi a0, a0, 1"),
    (0x00001537, "lui a0, 1"),
    (0x0045200f, "cbo.zero (a0)"),
];

const ABI_NAMES: [&str; 32] = [
    "zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0", "a1", "a2", "a3", "a4",
    "a5", "a6", "a7", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4",
    "t5", "t6",
];

fn gpr(name: &str) -> Gpr {
    let number = ABI_NAMES.iter().position(|&abi| abi == name);

    Gpr::new(u32::try_from(number.expect(name)).unwrap())
}

/// An instruction in assembly, taken apart.
struct Assembly<'a> {
    mnemonic: &'a str,
    len: InsnLen,
    operands: Vec<&'a str>,
}

impl<'a> Assembly<'a> {
    fn parse(text: &'a str) -> Self {
        let (mnemonic, operands) = text.split_once(' ').unwrap_or((text, ""));
        let (mnemonic, len) = match mnemonic.strip_prefix("c.") {
            Some(mnemonic) => (mnemonic, InsnLen::Two),
            None => (mnemonic, InsnLen::Four),
        };

        Self {
            mnemonic,
            len,
            operands: operands.split(", ").collect(),
        }
    }

    fn load(&self) -> Option<Load> {
        let (width, sign_extend) = match self.mnemonic {
            "lb" => (Width::B, true),
            "lh" => (Width::H, true),
            "lw" | "lwsp" => (Width::W, true),
            "ld" | "ldsp" => (Width::D, true),
            "lbu" => (Width::B, false),
            "lhu" => (Width::H, false),
            "lwu" => (Width::W, false),
            _ => return None,
        };

        Some(Load {
            rd: gpr(self.operands[0]),
            width,
            sign_extend,
            len: self.len,
        })
    }

    fn store(&self) -> Option<Store> {
        let width = match self.mnemonic {
            "sb" => Width::B,
            "sh" => Width::H,
            "sw" | "swsp" => Width::W,
            "sd" | "sdsp" => Width::D,
            _ => return None,
        };

        Some(Store {
            rs2: gpr(self.operands[0]),
            width,
            len: self.len,
        })
    }

    fn system(&self) -> Option<System> {
        let op = match self.mnemonic {
            "wfi" => return Some(System::Wfi),
            "wrs.nto" | "wrs.sto" => return Some(System::Wrs),
            "csrrw" | "csrrwi" => CsrOp::Write,
            "csrrs" | "csrrsi" => CsrOp::Set,
            "csrrc" | "csrrci" => CsrOp::Clear,
            _ => return None,
        };
        let csr = self.operands[1].strip_prefix("0x").unwrap();
        let operand = if self.mnemonic.ends_with('i') {
            CsrOperand::Imm(self.operands[2].parse().unwrap())
        } else {
            CsrOperand::Reg(gpr(self.operands[2]))
        };

        Some(System::Csr(CsrInsn {
            csr: u16::from_str_radix(csr, 16).unwrap(),
            rd: gpr(self.operands[0]),
            op,
            operand,
        }))
    }
}

#[test]
fn assembled_instructions_decode_to_what_was_assembled() {
    for &(raw, text) in ASSEMBLED {
        let insn = TrapInsn::fetched(raw);
        let assembly = Assembly::parse(text);

        assert_eq!(insn.raw(), raw, "{text}");
        assert_eq!(insn.len(), assembly.len, "{text}");
        assert_eq!(decode_load(insn), assembly.load(), "{text}");
        assert_eq!(decode_store(insn), assembly.store(), "{text}");
        assert_eq!(decode_system(insn), assembly.system(), "{text}");
    }
}

/// A compressed encoding by its fields: quadrant in 1:0, `funct3` in 15:13.
fn compressed(quadrant: u32, funct3: u32, rest: u32) -> TrapInsn {
    assert_eq!(rest & 0xe003, 0);
    TrapInsn::fetched(funct3 << 13 | rest | quadrant)
}

#[test]
fn every_compressed_load() {
    let mut valid = 0;
    let mut check = |insn: TrapInsn, rd: u32, width, sign_extend| {
        let expected = Load {
            rd: Gpr::new(rd),
            width,
            sign_extend,
            len: InsnLen::Two,
        };

        assert_eq!(decode_load(insn), Some(expected), "{:04x}", insn.raw());
        valid += 1;
    };

    for rd in 0..8 {
        // Bits 12:10 and 6:5 are the offset, bits 9:7 are the base.
        for rest in 0..1 << 8 {
            let rest = rest >> 2 << 7 | (rest & 0x3) << 5 | rd << 2;

            check(compressed(0, 0b010, rest), 8 + rd, Width::W, true);
            check(compressed(0, 0b011, rest), 8 + rd, Width::D, true);
        }
        for base in 0..8 {
            let rest = base << 7 | rd << 2;

            for offset in 0..4 {
                let rest = rest | offset << 5;

                check(compressed(0, 0b100, rest), 8 + rd, Width::B, false);
            }
            for offset in 0..2 {
                let rest = rest | offset << 5 | 0b001 << 10;

                check(compressed(0, 0b100, rest), 8 + rd, Width::H, false);
                check(compressed(0, 0b100, rest | 1 << 6), 8 + rd, Width::H, true);
            }
        }
    }
    for rd in 1..32 {
        for offset in 0..1 << 6 {
            let rest = offset >> 5 << 12 | rd << 7 | (offset & 0x1f) << 2;

            check(compressed(2, 0b010, rest), rd, Width::W, true);
            check(compressed(2, 0b011, rest), rd, Width::D, true);
        }
    }

    let decoded = (0..1 << 16)
        .filter(|&raw| is_compressed(raw as u16) && decode_load(TrapInsn::fetched(raw)).is_some());
    assert_eq!(decoded.count(), valid);
}

#[test]
fn every_compressed_store() {
    let mut valid = 0;
    let mut check = |insn: TrapInsn, rs2: u32, width| {
        let expected = Store {
            rs2: Gpr::new(rs2),
            width,
            len: InsnLen::Two,
        };

        assert_eq!(decode_store(insn), Some(expected), "{:04x}", insn.raw());
        valid += 1;
    };

    for rs2 in 0..8 {
        for rest in 0..1 << 8 {
            let rest = rest >> 2 << 7 | (rest & 0x3) << 5 | rs2 << 2;

            check(compressed(0, 0b110, rest), 8 + rs2, Width::W);
            check(compressed(0, 0b111, rest), 8 + rs2, Width::D);
        }
        for base in 0..8 {
            let rest = base << 7 | rs2 << 2;

            for offset in 0..4 {
                let rest = rest | offset << 5 | 0b010 << 10;

                check(compressed(0, 0b100, rest), 8 + rs2, Width::B);
            }
            for offset in 0..2 {
                let rest = rest | offset << 5 | 0b011 << 10;

                check(compressed(0, 0b100, rest), 8 + rs2, Width::H);
            }
        }
    }
    for rs2 in 0..32 {
        for offset in 0..1 << 6 {
            let rest = offset << 7 | rs2 << 2;

            check(compressed(2, 0b110, rest), rs2, Width::W);
            check(compressed(2, 0b111, rest), rs2, Width::D);
        }
    }

    let decoded = (0..1 << 16)
        .filter(|&raw| is_compressed(raw as u16) && decode_store(TrapInsn::fetched(raw)).is_some());
    assert_eq!(decoded.count(), valid);
}

#[test]
fn no_compressed_instruction_is_a_system_instruction() {
    for raw in (0..1 << 16).filter(|&raw| is_compressed(raw as u16)) {
        assert_eq!(decode_system(TrapInsn::fetched(raw)), None, "{raw:04x}");
    }
}

/// All 32-bit encodings that differ in the low 15 bits, under a few values of the others.
fn standard_encodings() -> impl Iterator<Item = u32> {
    [0, 0xffff_8000, 0x0010_8000, 0xfedc_8000, 0x7654_0000]
        .into_iter()
        .flat_map(|high| (0..1 << 15).map(move |low| high | low))
        .filter(|&raw| !is_compressed(raw as u16))
}

#[test]
fn every_standard_load_and_store() {
    for raw in standard_encodings() {
        let insn = TrapInsn::fetched(raw);
        let funct3 = raw >> 12 & 0x7;
        let width = [Width::B, Width::H, Width::W, Width::D][funct3 as usize % 4];

        let load = (raw & 0x7f == 0x03 && funct3 != 7).then_some(Load {
            rd: Gpr::new(raw >> 7 & 0x1f),
            width,
            sign_extend: funct3 < 4,
            len: InsnLen::Four,
        });
        let store = (raw & 0x7f == 0x23 && funct3 < 4).then_some(Store {
            rs2: Gpr::new(raw >> 20 & 0x1f),
            width,
            len: InsnLen::Four,
        });

        assert_eq!(decode_load(insn), load, "{raw:08x}");
        assert_eq!(decode_store(insn), store, "{raw:08x}");
        if raw & 0x7f != 0x73 {
            assert_eq!(decode_system(insn), None, "{raw:08x}");
        }
    }
}

#[test]
fn every_encoding_of_the_system_opcode() {
    for fields in 0..1 << 25 {
        let raw: u32 = fields << 7 | 0x73;
        let op = match raw >> 12 & 0x3 {
            1 => Some(CsrOp::Write),
            2 => Some(CsrOp::Set),
            3 => Some(CsrOp::Clear),
            _ => None,
        };
        let rs1 = raw >> 15 & 0x1f;
        let expected = match (op, raw) {
            (Some(op), _) => Some(System::Csr(CsrInsn {
                csr: u16::try_from(raw >> 20).unwrap(),
                rd: Gpr::new(raw >> 7 & 0x1f),
                op,
                operand: if raw & 1 << 14 == 0 {
                    CsrOperand::Reg(Gpr::new(rs1))
                } else {
                    CsrOperand::Imm(u8::try_from(rs1).unwrap())
                },
            })),
            (None, 0x1050_0073) => Some(System::Wfi),
            (None, 0x00d0_0073 | 0x01d0_0073) => Some(System::Wrs),
            (None, _) => None,
        };

        assert_eq!(decode_system(TrapInsn::fetched(raw)), expected, "{raw:08x}");
    }
}

#[test]
fn a_fetched_compressed_instruction_ignores_what_follows_it() {
    let insn = TrapInsn::fetched(0xffff_4380);

    assert_eq!(insn, TrapInsn::fetched(0x4380));
    assert_eq!(insn.raw(), 0x4380);
    assert_eq!(insn.len().bytes(), 2);
}

#[test]
fn the_low_bits_tell_the_length() {
    for parcel in 0..=u16::MAX {
        let compressed = parcel % 4 != 3;

        assert_eq!(is_compressed(parcel), compressed);
        let len = if compressed { 2 } else { 4 };
        assert_eq!(TrapInsn::fetched(u32::from(parcel)).len().bytes(), len);
    }
}

#[test]
fn stval_holds_an_instruction_or_nothing() {
    assert_eq!(TrapInsn::from_stval(0), None);
    assert_eq!(TrapInsn::from_stval(1 << 32 | 0x1050_0073), None);
    assert_eq!(TrapInsn::from_stval(u64::MAX), None);
    assert_eq!(
        TrapInsn::from_stval(0x1050_0073).and_then(decode_system),
        Some(System::Wfi)
    );
    assert_eq!(
        TrapInsn::from_stval(0x4380),
        Some(TrapInsn::fetched(0x4380))
    );
}

#[test]
fn htinst_of_a_standard_instruction_keeps_its_length() {
    // `lw a0, 0(x0)`, and a nonzero address offset in place of `rs1`.
    for htinst in [0x0000_2503, 0x0001_2503] {
        let insn = TrapInsn::from_htinst(htinst).unwrap();

        assert_eq!(
            decode_load(insn),
            Some(Load {
                rd: gpr("a0"),
                width: Width::W,
                sign_extend: true,
                len: InsnLen::Four,
            })
        );
        assert_eq!(Htinst::decode(htinst), Htinst::Transformed(insn));
    }
}

#[test]
fn htinst_of_a_compressed_instruction_is_its_expansion_with_bit_1_clear() {
    for &(raw, text) in ASSEMBLED {
        let compressed = TrapInsn::fetched(raw);

        if compressed.len() == InsnLen::Four {
            continue;
        }
        let (expanded, load, store) = match (decode_load(compressed), decode_store(compressed)) {
            (Some(load), None) => {
                let funct3 =
                    load.width.bytes().trailing_zeros() | u32::from(!load.sign_extend) << 2;

                (
                    0x03 | funct3 << 12 | (load.rd.index() as u32) << 7,
                    Some(load),
                    None,
                )
            }
            (None, Some(store)) => {
                let funct3 = store.width.bytes().trailing_zeros();

                (
                    0x23 | funct3 << 12 | (store.rs2.index() as u32) << 20,
                    None,
                    Some(store),
                )
            }
            _ => continue,
        };

        let insn = TrapInsn::from_htinst(u64::from(expanded & !0x2)).expect(text);
        assert_eq!(decode_load(insn), load, "{text}");
        assert_eq!(decode_store(insn), store, "{text}");
        assert_eq!(insn.len(), InsnLen::Two, "{text}");
    }
}

#[test]
fn htinst_pseudoinstructions_tell_of_a_page_table_walk() {
    for (htinst, write) in [
        (0x2000, false),
        (0x2020, true),
        (0x3000, false),
        (0x3020, true),
    ] {
        assert_eq!(Htinst::decode(htinst), Htinst::PageTableWalk { write });
        assert_eq!(TrapInsn::from_htinst(htinst), None);
    }
}

#[test]
fn htinst_values_without_a_meaning_are_like_zero() {
    for htinst in [
        0,
        2,
        // Bits 1:0 are 10: no case of the specification.
        0x2502,
        0x2002,
        // Nearly a pseudoinstruction.
        0x1000,
        0x2040,
        0x3021 & !1 | 4,
        0x1_0000_3000,
        // A load, if bits 63:32 were not looked at.
        1 << 32 | 0x2503,
        1 << 63 | 0x2503,
    ] {
        assert_eq!(Htinst::decode(htinst), Htinst::Unknown, "{htinst:x}");
        assert_eq!(TrapInsn::from_htinst(htinst), None, "{htinst:x}");
    }
}

#[test]
fn htinst_with_another_instruction_decodes_to_nothing() {
    // flw, amoadd.w, hlv.w, and one of the custom-0 opcode.
    for htinst in [0x2507, 0x00b0_252f, 0x6800_c573, 0x0b] {
        let insn = TrapInsn::from_htinst(htinst).unwrap();

        assert_eq!(decode_load(insn), None);
        assert_eq!(decode_store(insn), None);
    }
}

#[test]
fn htinst_of_a_compressed_system_instruction_decodes_to_nothing() {
    for raw in [0x1050_0073, 0x00d0_0073, 0xc010_2573] {
        let standard = TrapInsn::from_htinst(raw).unwrap();
        let compressed = TrapInsn::from_htinst(raw & !0x2).unwrap();

        assert!(decode_system(standard).is_some());
        assert_eq!(decode_system(compressed), None);
    }
}

#[test]
fn loads_extend_as_the_bytes_do() {
    let bytes = [0x80, 0xff, 0x7f, 0x81, 0x01, 0x00, 0xfe, 0x90];

    for rotation in 0..8 {
        let mut bytes = bytes;

        bytes.rotate_left(rotation);
        let raw = u64::from_le_bytes(bytes);
        let [b, ..] = bytes;
        let [h @ .., _, _, _, _, _, _] = bytes;
        let [w @ .., _, _, _, _] = bytes;

        assert_eq!(extend(raw, Width::B, false), u64::from(b));
        assert_eq!(extend(raw, Width::B, true) as i64, i64::from(b as i8));
        let (unsigned, signed) = (u16::from_le_bytes(h), i16::from_le_bytes(h));
        assert_eq!(extend(raw, Width::H, false), u64::from(unsigned));
        assert_eq!(extend(raw, Width::H, true) as i64, i64::from(signed));
        let (unsigned, signed) = (u32::from_le_bytes(w), i32::from_le_bytes(w));
        assert_eq!(extend(raw, Width::W, false), u64::from(unsigned));
        assert_eq!(extend(raw, Width::W, true) as i64, i64::from(signed));
        assert_eq!(extend(raw, Width::D, false), raw);
        assert_eq!(extend(raw, Width::D, true), raw);
    }
}

#[test]
fn widths() {
    for (width, bytes) in [(Width::B, 1), (Width::H, 2), (Width::W, 4), (Width::D, 8)] {
        assert_eq!(width.bytes(), bytes);
        for addr in 0..32 {
            assert_eq!(width.is_aligned(addr), addr % bytes as u64 == 0);
        }
        assert!(width.is_aligned(u64::MAX - (bytes as u64 - 1)));
    }
}

#[test]
fn a_gpr_is_one_of_32() {
    for field in 0..256 {
        let gpr = Gpr::new(field);

        assert_eq!(gpr.index(), field as usize % 32);
        assert_eq!(gpr.is_zero(), field % 32 == 0);
        assert_eq!(gpr == Gpr::ZERO, field % 32 == 0);
    }
}

/// The value of a register in the tests below. That of `x0` must not matter.
fn register(gpr: Gpr) -> u64 {
    0x1111_1111_1111_1111 * (gpr.index() as u64 % 15 + 1)
}

fn csr_insn(op: CsrOp, operand: CsrOperand) -> CsrInsn {
    CsrInsn {
        csr: 0x100,
        rd: gpr("a0"),
        op,
        operand,
    }
}

#[test]
fn csr_instructions_do_what_the_specification_says() {
    let old = 0x0123_4567_89ab_cdef;
    let operands = (0..32)
        .map(|x| CsrOperand::Reg(Gpr::new(x)))
        .chain((0..32).map(CsrOperand::Imm));

    for operand in operands {
        let value = match operand {
            CsrOperand::Reg(Gpr::ZERO) => 0,
            CsrOperand::Reg(rs1) => register(rs1),
            CsrOperand::Imm(uimm) => u64::from(uimm),
        };

        for (op, new) in [
            (CsrOp::Write, value),
            (CsrOp::Set, old | value),
            (CsrOp::Clear, old & !value),
        ] {
            let write = csr_insn(op, operand).write(register);

            assert_eq!(write.apply(old), new, "{op:?} {operand:?}");
        }
    }
}

/// The values that user space has always found in `kvm_run` on `KVM_EXIT_RISCV_CSR`.
#[test]
fn csr_writes_as_user_space_sees_them() {
    let value = 0xabcd;
    let reg = CsrOperand::Reg(gpr("a1"));
    let zero = CsrOperand::Reg(Gpr::ZERO);
    let all = u64::MAX;

    for (op, operand, mask, new_value) in [
        (CsrOp::Write, reg, all, value),
        (CsrOp::Write, zero, all, 0),
        (CsrOp::Write, CsrOperand::Imm(31), all, 31),
        (CsrOp::Write, CsrOperand::Imm(0), all, 0),
        (CsrOp::Set, reg, value, all),
        (CsrOp::Set, zero, 0, all),
        (CsrOp::Set, CsrOperand::Imm(5), 5, all),
        (CsrOp::Set, CsrOperand::Imm(0), 0, all),
        (CsrOp::Clear, reg, value, 0),
        (CsrOp::Clear, zero, 0, 0),
        (CsrOp::Clear, CsrOperand::Imm(5), 5, 0),
        (CsrOp::Clear, CsrOperand::Imm(0), 0, 0),
    ] {
        let write = csr_insn(op, operand).write(|rs1| {
            assert_eq!(rs1, gpr("a1"), "no other register is asked for");
            value
        });
        let expected = CsrWrite {
            mask,
            value: new_value,
        };

        assert_eq!(write, expected, "{op:?} {operand:?}");
    }
}

#[test]
fn which_csr_instructions_read_and_write() {
    let regs = [CsrOperand::Reg(Gpr::ZERO), CsrOperand::Reg(gpr("t6"))];
    let imms = [CsrOperand::Imm(0), CsrOperand::Imm(31)];

    for op in [CsrOp::Write, CsrOp::Set, CsrOp::Clear] {
        for rd in [Gpr::ZERO, gpr("ra")] {
            for operands in [regs, imms] {
                let [none, some] = operands.map(|operand| CsrInsn {
                    rd,
                    ..csr_insn(op, operand)
                });

                assert!(some.writes());
                assert_eq!(none.writes(), op == CsrOp::Write);
                assert_eq!(some.reads(), op != CsrOp::Write || rd != Gpr::ZERO);
                assert_eq!(none.reads(), some.reads());
            }
        }
    }
    assert_eq!(CsrInsn::LEN.bytes(), 4);
}

#[test]
fn wfi_is_known_where_stval_holds_it() {
    let wfi = standard_encodings().chain([0x1050_0073]).filter(|raw| {
        let decoded = decode_system(TrapInsn::fetched(*raw));
        assert_eq!(
            TrapInsn::is_wfi_in_stval(u64::from(*raw)),
            decoded == Some(System::Wfi)
        );
        decoded == Some(System::Wfi)
    });
    assert_eq!(wfi.count(), 1);
    assert!(!TrapInsn::is_wfi_in_stval(0));
    assert!(!TrapInsn::is_wfi_in_stval(1 << 32 | 0x1050_0073));
}
