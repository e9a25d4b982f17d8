// SPDX-License-Identifier: GPL-2.0

//! Extensions of the instruction set: which of the host's a guest has, and which of them user space
//! may enable or disable.

use crate::{
    abi::{
        envcfg::Henvcfg,
        fwft::Fwft,
        one_reg::{
            IsaExtId,
            Numbered, //
        },
    },
    hart::{
        csr::Hstateen0,
        features, //
    },
    switch::{
        fp::FpFormat,
        vector, //
    },
};
use kernel::bindings;

/// A set of extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IsaSet(u128);

const _: () = assert!(IsaExtId::COUNT <= 128);

impl IsaSet {
    const EMPTY: Self = Self(0);

    #[inline]
    const fn bit(ext: IsaExtId) -> u128 {
        1 << ext as u32
    }

    /// Returns whether `ext` is in the set.
    #[inline]
    pub(crate) const fn has(self, ext: IsaExtId) -> bool {
        self.0 & Self::bit(ext) != 0
    }

    /// Returns the set with `ext`, or without it.
    pub(crate) const fn with(self, ext: IsaExtId, on: bool) -> Self {
        if on {
            Self(self.0 | Self::bit(ext))
        } else {
            Self(self.0 & !Self::bit(ext))
        }
    }

    /// Returns the extensions of the host that a guest may have.
    pub(crate) fn of_host() -> Self {
        IsaExtId::all()
            .filter(|ext| is_known(*ext) && may_enable(*ext))
            .fold(Self::EMPTY, |set, ext| set.with(ext, true))
    }

    /// Returns the single-letter extensions as a bitmap, A being bit 0.
    pub(crate) fn letters(self) -> u64 {
        LETTERS
            .iter()
            .filter(|(ext, _)| self.has(*ext))
            .fold(0, |bits, (_, letter)| bits | letter_bit(*letter))
    }

    /// Returns the set with the single-letter extensions of a bitmap. Those that user space may not
    /// change stay.
    pub(crate) fn with_letters(self, bits: u64) -> Self {
        LETTERS
            .iter()
            .filter(|(ext, _)| is_known(*ext))
            .fold(self, |set, (ext, letter)| {
                let wanted = bits & letter_bit(*letter) != 0;
                set.with(*ext, (wanted && may_enable(*ext)) || !may_disable(*ext))
            })
    }

    /// Returns the floating-point registers that there are, if any.
    #[inline]
    pub(crate) const fn fp(self) -> Option<FpFormat> {
        if self.has(IsaExtId::D) {
            Some(FpFormat::Double)
        } else if self.has(IsaExtId::F) {
            Some(FpFormat::Single)
        } else {
            None
        }
    }

    /// Returns the `henvcfg` for these extensions, and for what the guest's kernel has set.
    pub(crate) fn henvcfg(self, features: &Fwft) -> Henvcfg {
        Henvcfg::of(features, |ext| self.has(ext))
    }

    /// Returns the `hstateen0` for these extensions.
    pub(crate) fn hstateen0(self) -> Hstateen0 {
        let aia = self.has(IsaExtId::Ssaia);
        Hstateen0::from_raw(0)
            .with_imsic(aia)
            .with_aia(aia)
            .with_csrind(aia)
            .with_senvcfg(true)
            .with_se0(self.has(IsaExtId::Smstateen))
    }
}

const LETTERS: [(IsaExtId, u8); 8] = [
    (IsaExtId::A, b'a'),
    (IsaExtId::C, b'c'),
    (IsaExtId::D, b'd'),
    (IsaExtId::F, b'f'),
    (IsaExtId::H, b'h'),
    (IsaExtId::I, b'i'),
    (IsaExtId::M, b'm'),
    (IsaExtId::V, b'v'),
];

const fn letter_bit(letter: u8) -> u64 {
    1 << features::letter(letter)
}

/// Returns whether user space has a register for `ext`: the host and this backend have the
/// extension.
pub(crate) fn is_known(ext: IsaExtId) -> bool {
    host_ext(ext).is_some_and(features::host_has)
}

/// Returns the host's number of an extension, or [`None`] for those that this backend does not
/// have.
const fn host_ext(ext: IsaExtId) -> Option<u32> {
    Some(match ext {
        IsaExtId::A => features::letter(b'a'),
        IsaExtId::C => features::letter(b'c'),
        IsaExtId::D => features::letter(b'd'),
        IsaExtId::F => features::letter(b'f'),
        IsaExtId::H => features::letter(b'h'),
        IsaExtId::I => features::letter(b'i'),
        IsaExtId::M => features::letter(b'm'),
        IsaExtId::V => features::letter(b'v'),
        IsaExtId::Smstateen => bindings::RISCV_ISA_EXT_SMSTATEEN,
        IsaExtId::Smnpm => bindings::RISCV_ISA_EXT_SMNPM,
        IsaExtId::Ssaia => bindings::RISCV_ISA_EXT_SSAIA,
        IsaExtId::Sscofpmf => bindings::RISCV_ISA_EXT_SSCOFPMF,
        IsaExtId::Ssnpm => bindings::RISCV_ISA_EXT_SSNPM,
        IsaExtId::Sstc => bindings::RISCV_ISA_EXT_SSTC,
        IsaExtId::Svade => bindings::RISCV_ISA_EXT_SVADE,
        IsaExtId::Svadu => bindings::RISCV_ISA_EXT_SVADU,
        IsaExtId::Svinval => bindings::RISCV_ISA_EXT_SVINVAL,
        IsaExtId::Svnapot => bindings::RISCV_ISA_EXT_SVNAPOT,
        IsaExtId::Svpbmt => bindings::RISCV_ISA_EXT_SVPBMT,
        IsaExtId::Svvptc => bindings::RISCV_ISA_EXT_SVVPTC,
        IsaExtId::Zaamo => bindings::RISCV_ISA_EXT_ZAAMO,
        IsaExtId::Zabha => bindings::RISCV_ISA_EXT_ZABHA,
        IsaExtId::Zacas => bindings::RISCV_ISA_EXT_ZACAS,
        IsaExtId::Zalasr => bindings::RISCV_ISA_EXT_ZALASR,
        IsaExtId::Zalrsc => bindings::RISCV_ISA_EXT_ZALRSC,
        IsaExtId::Zawrs => bindings::RISCV_ISA_EXT_ZAWRS,
        IsaExtId::Zba => bindings::RISCV_ISA_EXT_ZBA,
        IsaExtId::Zbb => bindings::RISCV_ISA_EXT_ZBB,
        IsaExtId::Zbc => bindings::RISCV_ISA_EXT_ZBC,
        IsaExtId::Zbkb => bindings::RISCV_ISA_EXT_ZBKB,
        IsaExtId::Zbkc => bindings::RISCV_ISA_EXT_ZBKC,
        IsaExtId::Zbkx => bindings::RISCV_ISA_EXT_ZBKX,
        IsaExtId::Zbs => bindings::RISCV_ISA_EXT_ZBS,
        IsaExtId::Zca => bindings::RISCV_ISA_EXT_ZCA,
        IsaExtId::Zcb => bindings::RISCV_ISA_EXT_ZCB,
        IsaExtId::Zcd => bindings::RISCV_ISA_EXT_ZCD,
        IsaExtId::Zcf => bindings::RISCV_ISA_EXT_ZCF,
        IsaExtId::Zclsd => bindings::RISCV_ISA_EXT_ZCLSD,
        IsaExtId::Zcmop => bindings::RISCV_ISA_EXT_ZCMOP,
        IsaExtId::Zfa => bindings::RISCV_ISA_EXT_ZFA,
        IsaExtId::Zfbfmin => bindings::RISCV_ISA_EXT_ZFBFMIN,
        IsaExtId::Zfh => bindings::RISCV_ISA_EXT_ZFH,
        IsaExtId::Zfhmin => bindings::RISCV_ISA_EXT_ZFHMIN,
        IsaExtId::Zicbom => bindings::RISCV_ISA_EXT_ZICBOM,
        IsaExtId::Zicbop => bindings::RISCV_ISA_EXT_ZICBOP,
        IsaExtId::Zicboz => bindings::RISCV_ISA_EXT_ZICBOZ,
        IsaExtId::Zicfilp => bindings::RISCV_ISA_EXT_ZICFILP,
        IsaExtId::Zicfiss => bindings::RISCV_ISA_EXT_ZICFISS,
        IsaExtId::Ziccrse => bindings::RISCV_ISA_EXT_ZICCRSE,
        IsaExtId::Zicntr => bindings::RISCV_ISA_EXT_ZICNTR,
        IsaExtId::Zicond => bindings::RISCV_ISA_EXT_ZICOND,
        IsaExtId::Zicsr => bindings::RISCV_ISA_EXT_ZICSR,
        IsaExtId::Zifencei => bindings::RISCV_ISA_EXT_ZIFENCEI,
        IsaExtId::Zihintntl => bindings::RISCV_ISA_EXT_ZIHINTNTL,
        IsaExtId::Zihintpause => bindings::RISCV_ISA_EXT_ZIHINTPAUSE,
        IsaExtId::Zihpm => bindings::RISCV_ISA_EXT_ZIHPM,
        IsaExtId::Zilsd => bindings::RISCV_ISA_EXT_ZILSD,
        IsaExtId::Zimop => bindings::RISCV_ISA_EXT_ZIMOP,
        IsaExtId::Zknd => bindings::RISCV_ISA_EXT_ZKND,
        IsaExtId::Zkne => bindings::RISCV_ISA_EXT_ZKNE,
        IsaExtId::Zknh => bindings::RISCV_ISA_EXT_ZKNH,
        IsaExtId::Zkr => bindings::RISCV_ISA_EXT_ZKR,
        IsaExtId::Zksed => bindings::RISCV_ISA_EXT_ZKSED,
        IsaExtId::Zksh => bindings::RISCV_ISA_EXT_ZKSH,
        IsaExtId::Zkt => bindings::RISCV_ISA_EXT_ZKT,
        IsaExtId::Ztso => bindings::RISCV_ISA_EXT_ZTSO,
        IsaExtId::Zvbb => bindings::RISCV_ISA_EXT_ZVBB,
        IsaExtId::Zvbc => bindings::RISCV_ISA_EXT_ZVBC,
        IsaExtId::Zvfbfmin => bindings::RISCV_ISA_EXT_ZVFBFMIN,
        IsaExtId::Zvfbfwma => bindings::RISCV_ISA_EXT_ZVFBFWMA,
        IsaExtId::Zvfh => bindings::RISCV_ISA_EXT_ZVFH,
        IsaExtId::Zvfhmin => bindings::RISCV_ISA_EXT_ZVFHMIN,
        IsaExtId::Zvkb => bindings::RISCV_ISA_EXT_ZVKB,
        IsaExtId::Zvkg => bindings::RISCV_ISA_EXT_ZVKG,
        IsaExtId::Zvkned => bindings::RISCV_ISA_EXT_ZVKNED,
        IsaExtId::Zvknha => bindings::RISCV_ISA_EXT_ZVKNHA,
        IsaExtId::Zvknhb => bindings::RISCV_ISA_EXT_ZVKNHB,
        IsaExtId::Zvksed => bindings::RISCV_ISA_EXT_ZVKSED,
        IsaExtId::Zvksh => bindings::RISCV_ISA_EXT_ZVKSH,
        IsaExtId::Zvkt => bindings::RISCV_ISA_EXT_ZVKT,
    })
}

/// Returns whether user space may switch an extension on that the host has.
pub(crate) fn may_enable(ext: IsaExtId) -> bool {
    match ext {
        // There is no nested virtualization.
        IsaExtId::H => false,
        IsaExtId::Sscofpmf => features::overflow_interrupt(),
        IsaExtId::Svadu => features::hardware_updates_ad(),
        IsaExtId::Svpbmt => features::svpbmt(),
        IsaExtId::V => vector::allowed(),
        _ => true,
    }
}

/// Returns whether user space may switch an extension off. The answers are those of the C backend.
///
/// A bit then makes the use of the extension trap, but for two cases. D has no bit of its own: a
/// guest that still has F can execute the instructions of D, although only 32 bits of each register
/// are kept for it. Zclsd and Zilsd belong to RV32, so that no host has them.
pub(crate) fn may_disable(ext: IsaExtId) -> bool {
    match ext {
        IsaExtId::D
        | IsaExtId::F
        | IsaExtId::H
        | IsaExtId::Smnpm
        | IsaExtId::Smstateen
        | IsaExtId::Svadu
        | IsaExtId::Svpbmt
        | IsaExtId::V
        | IsaExtId::Zclsd
        | IsaExtId::Zicbom
        | IsaExtId::Zicboz
        | IsaExtId::Zicfilp
        | IsaExtId::Zicfiss
        | IsaExtId::Zilsd => true,
        // The CSRs of the AIA trap only where the hart has `hstateen0`.
        IsaExtId::Ssaia => features::smstateen(),
        // Only where the hart can do otherwise.
        IsaExtId::Svade => features::hardware_updates_ad(),
        _ => false,
    }
}
