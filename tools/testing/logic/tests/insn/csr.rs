// SPDX-License-Identifier: GPL-2.0

//! What CSR instructions read and write.

use super::assembled::gpr;
use kvm_riscv_logic::abi::insn::{
    CsrInsn,
    CsrOp,
    CsrOperand,
    CsrWrite,
    Gpr, //
};

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
