// SPDX-License-Identifier: GPL-2.0

//! Every encoding of a kind of instructions, by its fields.

use kvm_riscv_logic::abi::insn::{
    decode_load,
    decode_store,
    decode_system,
    is_compressed,
    CsrInsn,
    CsrOp,
    CsrOperand,
    Gpr,
    InsnLen,
    Load,
    Store,
    System,
    TrapInsn,
    Width, //
};

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
pub(crate) fn standard_encodings() -> impl Iterator<Item = u32> {
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
