// SPDX-License-Identifier: GPL-2.0

//! Instructions as a trap reports them, in `stval` or in `htinst`.

use super::{
    assembled::{gpr, ASSEMBLED},
    encodings::standard_encodings, //
};
use kvm_riscv_logic::abi::insn::{
    decode_load,
    decode_store,
    decode_system,
    Htinst,
    InsnLen,
    Load,
    System,
    TrapInsn,
    Width, //
};

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

/// Returns the instruction that `htinst` holds, if it does.
fn transformed(htinst: u64) -> Option<TrapInsn> {
    match Htinst::decode(htinst) {
        Htinst::Transformed { insn, .. } => Some(insn),
        Htinst::Unknown | Htinst::PageTableWalk { .. } => None,
    }
}

#[test]
fn htinst_of_a_standard_instruction_keeps_its_length() {
    // `lw a0, 0(x0)`, and a nonzero address offset in place of `rs1`.
    for (htinst, offset) in [(0x0000_2503, 0), (0x0001_2503, 2), (0x000f_a503, 31)] {
        let insn = transformed(htinst).unwrap();

        assert_eq!(
            decode_load(insn),
            Some(Load {
                rd: gpr("a0"),
                width: Width::W,
                sign_extend: true,
                len: InsnLen::Four,
            })
        );
        assert_eq!(Htinst::decode(htinst), Htinst::Transformed { insn, offset });
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

        let insn = transformed(u64::from(expanded & !0x2)).expect(text);
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
    }
}

#[test]
fn htinst_with_another_instruction_decodes_to_nothing() {
    // flw, amoadd.w, hlv.w, and one of the custom-0 opcode.
    for htinst in [0x2507, 0x00b0_252f, 0x6800_c573, 0x0b] {
        let insn = transformed(htinst).unwrap();

        assert_eq!(decode_load(insn), None);
        assert_eq!(decode_store(insn), None);
    }
}

#[test]
fn htinst_of_a_compressed_system_instruction_decodes_to_nothing() {
    for raw in [0x1050_0073, 0x00d0_0073, 0xc010_2573] {
        let standard = transformed(raw).unwrap();
        let compressed = transformed(raw & !0x2).unwrap();

        assert!(decode_system(standard).is_some());
        assert_eq!(decode_system(compressed), None);
    }
}
