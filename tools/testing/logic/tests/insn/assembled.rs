// SPDX-License-Identifier: GPL-2.0

//! Instructions as an assembler makes them, and what each decodes to.

use kvm_riscv_logic::abi::insn::{
    decode_address,
    decode_load,
    decode_store,
    decode_system,
    AddressOperand,
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

/// What LLVM's assembler makes of each instruction, of the kinds that are decoded and of others.
pub(crate) const ASSEMBLED: &[(u32, &str)] = &[
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

pub(crate) fn gpr(name: &str) -> Gpr {
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

    fn address(&self) -> Option<AddressOperand> {
        self.load()
            .map(|_| ())
            .or_else(|| self.store().map(|_| ()))?;
        let (offset, base) = self.operands[1].strip_suffix(')')?.split_once('(')?;

        Some(AddressOperand {
            base: gpr(base),
            offset: offset.parse().unwrap(),
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
        assert_eq!(decode_address(insn), assembly.address(), "{text}");
    }
}

#[test]
fn an_access_begins_where_its_address_is() {
    let ld = decode_address(TrapInsn::fetched(0x0084_3383)).unwrap();
    let s0 = |value: u64| {
        move |gpr_asked| {
            assert_eq!(gpr_asked, gpr("s0"));
            value
        }
    };

    assert_eq!(ld.address(s0(0x8000_0ff4)), 0x8000_0ffc);
    assert_eq!(ld.address(s0(u64::MAX)), 7);
    assert!(ld.begins_at(0x8000_0ffc, s0(0x8000_0ff4)));
    // A part of a misaligned access faults at the page boundary.
    for distance in 1..8 {
        assert!(!ld.begins_at(0x8000_1000, s0(0x8000_1000 - distance - 8)));
    }
    // Pointer masking replaces the bits above.
    assert!(ld.begins_at(0xffff_ffff_8000_0ff8, s0(0x1234_5678_8000_0ff0)));
}
