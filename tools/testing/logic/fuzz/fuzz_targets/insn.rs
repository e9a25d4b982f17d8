// SPDX-License-Identifier: GPL-2.0

//! Fuzzes the decoding of what a guest leaves in `htinst`, in `stval` and in memory.

#![no_main]

use kvm_riscv_logic::abi::insn::{
    decode_address,
    decode_load,
    decode_store,
    decode_system,
    extend,
    CsrOp,
    Htinst,
    InsnLen,
    System,
    TrapInsn,
    Width, //
};
use libfuzzer_sys::fuzz_target;

/// Checks what holds for every instruction, valid or not.
fn check(insn: TrapInsn, data: u64) {
    let load = decode_load(insn);
    let store = decode_store(insn);
    let system = decode_system(insn);

    let decoded = [load.is_some(), store.is_some(), system.is_some()];
    assert!(decoded.into_iter().filter(|&decoded| decoded).count() <= 1);

    let address = decode_address(insn);
    assert_eq!(address.is_some(), load.is_some() || store.is_some());
    if let Some(address) = address {
        assert!((-2048..2048).contains(&address.offset));
        assert!(address.begins_at(address.address(|_| data), |_| data));
    }
    if let Some(load) = load {
        let value = extend(data, load.width, load.sign_extend);
        let bits = 8 * load.width.bytes();

        assert_eq!(load.len, insn.len());
        assert!(load.rd.index() < 32);
        // Only the bits that were read matter, and they are all there.
        assert_eq!((value ^ data) << (64 - bits), 0);
        assert_eq!(extend(value, load.width, load.sign_extend), value);
        let negative = load.sign_extend && data >> (bits - 1) & 1 != 0;
        let above = if bits == 64 { 0 } else { value >> bits };
        let ones = if bits == 64 { 0 } else { u64::MAX >> bits };
        assert_eq!(above, if negative { ones } else { 0 });
        assert!(load.width != Width::D || load.sign_extend);
    }
    if let Some(store) = store {
        assert_eq!(store.len, insn.len());
        assert!(store.rs2.index() < 32);
    }
    if let Some(System::Csr(csr)) = system {
        let write = csr.write(|_| data);

        assert_eq!(insn.len(), InsnLen::Four);
        assert!(csr.csr < 4096);
        assert!(csr.writes() || write.mask == 0);
        assert!(csr.reads() || csr.op == CsrOp::Write);
        assert_eq!(write.apply(write.apply(data)), write.apply(data));
    }
}

fuzz_target!(|input: (u64, u64)| {
    let (raw, data) = input;

    let fetched = TrapInsn::fetched(raw as u32);
    assert_eq!(fetched, TrapInsn::fetched(fetched.raw()));
    check(fetched, data);

    if let Some(insn) = TrapInsn::from_stval(raw) {
        assert_eq!(insn, fetched);
    }

    match Htinst::decode(raw) {
        Htinst::Transformed { insn, offset } => {
            assert_eq!(u64::from(offset), raw >> 15 & 0x1f);
            // Whatever the length, it is a 32-bit encoding.
            let standard = TrapInsn::fetched(insn.raw());
            assert_eq!(standard.len(), InsnLen::Four);
            assert_eq!(decode_load(insn).is_some(), decode_load(standard).is_some());
            assert_eq!(
                decode_store(insn).is_some(),
                decode_store(standard).is_some()
            );
            check(insn, data);
        }
        Htinst::PageTableWalk { .. } => assert_eq!(raw & !0x3020, 0),
        Htinst::Unknown => assert!(raw >> 32 != 0 || raw & 1 == 0),
    }
});
