// SPDX-License-Identifier: GPL-2.0

//! An interrupt file of an IMSIC in memory, and the priorities of a guest's major interrupts.
//! Depends on `core` alone.
//!
//! Sections are those of the specification of the AIA, version 1.0.

use crate::abi::aia::{
    hviprio_byte,
    Eix,
    Identity,
    ImsicReg,
    IprioReg, //
};

/// The bits of all identities that an interrupt file can have.
pub type Bits = [u64; Eix::COUNT];

/// An interrupt file of a vCPU at supervisor level, in memory.
///
/// # Invariants
///
/// - Bits of identities that the file does not have are zero.
/// - `ready` has the bit of each word in which an interrupt is both pending and enabled.
pub struct File {
    /// The largest identity: one less than a multiple of 64 (section 3.1).
    last: u16,
    delivers: bool,
    threshold: u16,
    ready: u32,
    eip: Bits,
    eie: Bits,
}

/// What an interrupt file holds, as it is moved to and from that of a hart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// `eidelivery`
    pub eidelivery: u64,
    /// `eithreshold`
    pub eithreshold: u64,
    /// `eip0`, `eip2`, ...
    pub eip: Bits,
    /// `eie0`, `eie2`, ...
    pub eie: Bits,
}

impl Snapshot {
    /// What an empty file holds, which delivers nothing.
    pub const EMPTY: Self = Self {
        eidelivery: 0,
        eithreshold: 0,
        eip: [0; Eix::COUNT],
        eie: [0; Eix::COUNT],
    };
}

impl File {
    /// Returns an empty file with at least the identities up to `last`.
    pub const fn new(last: Identity) -> Self {
        Self {
            last: last.number() as u16 | 63,
            delivers: false,
            threshold: 0,
            ready: 0,
            eip: [0; Eix::COUNT],
            eie: [0; Eix::COUNT],
        }
    }

    /// Returns how many of the registers `eip` and `eie` have identities.
    #[inline]
    pub const fn words(&self) -> usize {
        self.last as usize / 64 + 1
    }

    /// Returns whether a register is there to be saved and restored: those without an identity are
    /// not. For a guest, they are read-only zeros.
    pub const fn implements(&self, reg: ImsicReg) -> bool {
        match reg {
            ImsicReg::EiDelivery | ImsicReg::EiThreshold => true,
            ImsicReg::Eip(eix) | ImsicReg::Eie(eix) => eix.index() < self.words(),
            ImsicReg::Reserved => false,
        }
    }

    /// Reads a register.
    pub const fn read(&self, reg: ImsicReg) -> u64 {
        match reg {
            ImsicReg::EiDelivery => self.delivers as u64,
            ImsicReg::EiThreshold => self.threshold as u64,
            ImsicReg::Eip(eix) => self.eip[eix.index()],
            ImsicReg::Eie(eix) => self.eie[eix.index()],
            ImsicReg::Reserved => 0,
        }
    }

    /// Writes a register.
    pub fn write(&mut self, reg: ImsicReg, value: u64) {
        match reg {
            // WARL, 0 or 1 (section 3.8.1).
            ImsicReg::EiDelivery => self.delivers = value & 1 != 0,
            // WLRL, the bits that the largest identity needs (section 3.8.2).
            ImsicReg::EiThreshold => {
                self.threshold = value as u16 & (u16::MAX >> self.last.leading_zeros());
            }
            ImsicReg::Eip(eix) => {
                self.eip[eix.index()] = value & self.identities(eix);
                self.refresh(eix);
            }
            ImsicReg::Eie(eix) => {
                self.eie[eix.index()] = value & self.identities(eix);
                self.refresh(eix);
            }
            ImsicReg::Reserved => {}
        }
    }

    /// Writes the bits of `mask` in a register, as the instructions for CSRs do, and returns what
    /// the register held before.
    #[inline]
    pub fn modify(&mut self, reg: ImsicReg, value: u64, mask: u64) -> u64 {
        let old = self.read(reg);
        if mask != 0 {
            self.write(reg, old & !mask | value & mask);
        }
        old
    }

    /// Returns the bits of the identities that the file has in a register.
    #[inline]
    const fn identities(&self, eix: Eix) -> u64 {
        if eix.index() >= self.words() {
            0
        } else if eix.index() == 0 {
            !1
        } else {
            !0
        }
    }

    #[inline]
    fn refresh(&mut self, eix: Eix) {
        let index = eix.index();
        let ready = self.eip[index] & self.eie[index] != 0;
        self.ready = self.ready & !(1 << index) | u32::from(ready) << index;
    }

    /// Makes an interrupt pending. An identity that the file does not have is ignored (section
    /// 3.5). Returns `false` if nothing has changed.
    #[inline]
    pub fn set_pending(&mut self, identity: Identity) -> bool {
        let eix = identity.eix();
        let old = self.eip[eix.index()];
        let new = old | identity.mask() & self.identities(eix);
        if new == old {
            return false;
        }
        self.eip[eix.index()] = new;
        self.refresh(eix);
        true
    }

    /// Returns what `stopei` shows: the interrupt of the highest priority that is pending, enabled
    /// and within the threshold (section 3.9). `eidelivery` does not matter for it.
    #[inline]
    pub fn topei(&self) -> Option<Identity> {
        if self.ready == 0 {
            return None;
        }
        let eix = Eix::new(self.ready.trailing_zeros());
        let bit = (self.eip[eix.index()] & self.eie[eix.index()]).trailing_zeros();
        let number = (eix.index() as u32) << 6 | bit;
        let threshold = u32::from(self.threshold);
        if threshold != 0 && number >= threshold {
            return None;
        }
        Identity::new(number)
    }

    /// Takes the interrupt that `stopei` shows, as a write to `stopei` does, whatever is written.
    #[inline]
    pub fn claim(&mut self) -> Option<Identity> {
        let identity = self.topei()?;
        let eix = identity.eix();
        self.eip[eix.index()] &= !identity.mask();
        self.refresh(eix);
        Some(identity)
    }

    /// Returns the interrupt for which the hart sees an external interrupt, if it sees one (section
    /// 3.10).
    #[inline]
    pub fn external(&self) -> Option<Identity> {
        if self.delivers {
            self.topei()
        } else {
            None
        }
    }

    /// Takes everything out of the file, for a file of a hart to hold. The file is empty then.
    pub fn take(&mut self) -> Snapshot {
        let snapshot = Snapshot {
            eidelivery: self.read(ImsicReg::EiDelivery),
            eithreshold: self.read(ImsicReg::EiThreshold),
            eip: self.eip,
            eie: self.eie,
        };
        self.clear();
        snapshot
    }

    /// Empties the file, as a reset of the vCPU does.
    pub fn clear(&mut self) {
        self.delivers = false;
        self.threshold = 0;
        self.ready = 0;
        self.eip = [0; Eix::COUNT];
        self.eie = [0; Eix::COUNT];
    }

    /// Takes over what a file of a hart held. Interrupts that are pending here already stay so:
    /// they came in the meantime (section 6.1.2).
    pub fn merge(&mut self, from: &Snapshot) {
        self.write(ImsicReg::EiDelivery, from.eidelivery);
        self.write(ImsicReg::EiThreshold, from.eithreshold);
        for (number, (eip, eie)) in from.eip.iter().zip(&from.eie).enumerate() {
            let eix = Eix::new(number as u32);
            let eip = eip | self.eip[eix.index()];
            self.write(ImsicReg::Eip(eix), eip);
            self.write(ImsicReg::Eie(eix), *eie);
        }
    }
}

/// The priorities of a guest's major interrupts: the values of `hviprio1` and `hviprio2`, through
/// which the registers `iprio` are emulated (section 6.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Priorities {
    /// `hviprio1`
    pub hviprio1: u64,
    /// `hviprio2`
    pub hviprio2: u64,
}

impl Priorities {
    /// Reads a register. Interrupts without a byte in either CSR have priority number 0.
    pub fn read(&self, reg: IprioReg) -> u64 {
        let mut bytes = [0; 8];
        let both = self.bytes();
        for (byte, interrupt) in bytes.iter_mut().zip(reg.index() * 8..) {
            if let Some(place) = hviprio_byte(interrupt) {
                *byte = both.get(place as usize).copied().unwrap_or(0);
            }
        }
        u64::from_le_bytes(bytes)
    }

    /// Writes the bits of `mask` in a register, as the instructions for CSRs do, and returns what
    /// it held before. `sie` has the bits that the guest can set in its `sie`: the priorities of
    /// other interrupts are read-only.
    pub fn modify(&mut self, reg: IprioReg, value: u64, mask: u64, sie: u64) -> u64 {
        let old = self.read(reg);
        let new = (old & !mask | value & mask).to_le_bytes();
        let mut both = self.bytes();
        for (byte, interrupt) in new.iter().zip(reg.index() * 8..) {
            if sie >> interrupt & 1 == 0 {
                continue;
            }
            if let Some(place) = hviprio_byte(interrupt) {
                if let Some(place) = both.get_mut(place as usize) {
                    *place = *byte;
                }
            }
        }
        let both = u128::from_le_bytes(both);
        self.hviprio1 = both as u64;
        self.hviprio2 = (both >> 64) as u64;
        old
    }

    fn bytes(&self) -> [u8; 16] {
        (u128::from(self.hviprio2) << 64 | u128::from(self.hviprio1)).to_le_bytes()
    }
}
