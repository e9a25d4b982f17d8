// SPDX-License-Identifier: GPL-2.0

//! Tests of the interrupt domain.

mod deliveries;
mod model;
mod registers;
mod sources;

use kvm_riscv_logic::{
    abi::aia::{
        AplicReg,
        Msi,
        Source,
        Target, //
    },
    aia::aplic::{
        Deliveries,
        Domain,
        Level, //
    }, //
};

pub(crate) const DOMAINCFG: u64 = 0;
pub(crate) const SETIPNUM: u64 = 0x1cdc;
pub(crate) const CLRIPNUM: u64 = 0x1ddc;
pub(crate) const SETIENUM: u64 = 0x1edc;
pub(crate) const CLRIENUM: u64 = 0x1fdc;
pub(crate) const SETIPNUM_LE: u64 = 0x2000;
pub(crate) const SETIPNUM_BE: u64 = 0x2004;
pub(crate) const GENMSI: u64 = 0x3000;

pub(crate) const IE: u32 = 1 << 8;

pub(crate) const INACTIVE: u32 = 0;
pub(crate) const DETACHED: u32 = 1;
pub(crate) const EDGE1: u32 = 4;
pub(crate) const EDGE0: u32 = 5;
pub(crate) const LEVEL1: u32 = 6;
pub(crate) const LEVEL0: u32 = 7;
pub(crate) const ACTIVE: [u32; 5] = [DETACHED, EDGE1, EDGE0, LEVEL1, LEVEL0];

pub(crate) fn sourcecfg(source: u32) -> u64 {
    u64::from(source) * 4
}

pub(crate) fn target(source: u32) -> u64 {
    GENMSI + u64::from(source) * 4
}

pub(crate) fn setip(word: u32) -> u64 {
    0x1c00 + u64::from(word) * 4
}

pub(crate) fn in_clrip(word: u32) -> u64 {
    0x1d00 + u64::from(word) * 4
}

pub(crate) fn setie(word: u32) -> u64 {
    0x1e00 + u64::from(word) * 4
}

pub(crate) fn clrie(word: u32) -> u64 {
    0x1f00 + u64::from(word) * 4
}

/// A domain as a guest sees it: by offsets.
pub(crate) struct Aplic(pub(crate) Domain<Vec<Target>>);

impl Aplic {
    pub(crate) fn new(sources: usize) -> Self {
        Self(Domain::new(vec![Target::from_raw(!0); sources]))
    }

    pub(crate) fn read(&self, offset: u64) -> u32 {
        self.0.read(AplicReg::decode(offset).unwrap())
    }

    /// Writes, and takes no message.
    pub(crate) fn start(&mut self, offset: u64, value: u32) -> Deliveries {
        self.0.write(AplicReg::decode(offset).unwrap(), value)
    }

    pub(crate) fn drain(&mut self, mut deliveries: Deliveries) -> Vec<Msi> {
        let mut msis = Vec::new();
        while let Some(batch) = self.0.take(&mut deliveries) {
            msis.extend(batch.iter());
        }
        assert!(deliveries.is_empty());
        msis
    }

    /// Writes, and returns the values of `target` that messages are sent to.
    pub(crate) fn write(&mut self, offset: u64, value: u32) -> Vec<u32> {
        let deliveries = self.start(offset, value);
        raw(&self.drain(deliveries))
    }

    pub(crate) fn wire(&mut self, source: u32, level: Level) -> Vec<u32> {
        let source = Source::new(source).unwrap();
        let deliveries = self.0.set_input(source, level).unwrap();
        raw(&self.drain(deliveries))
    }

    /// Returns a domain that delivers, with a source that is enabled and has itself as its target.
    pub(crate) fn with(source: u32, mode: u32) -> Self {
        let mut aplic = Self::new(1023);
        assert_eq!(aplic.write(DOMAINCFG, IE), []);
        aplic.activate(source, mode);
        aplic
    }

    pub(crate) fn activate(&mut self, source: u32, mode: u32) {
        assert_eq!(self.write(sourcecfg(source), mode), []);
        assert_eq!(self.write(target(source), source), []);
        assert_eq!(self.write(SETIENUM, source), []);
    }

    pub(crate) fn is_pending(&self, source: u32) -> bool {
        self.read(setip(source / 32)) >> (source % 32) & 1 != 0
    }

    pub(crate) fn is_enabled(&self, source: u32) -> bool {
        self.read(setie(source / 32)) >> (source % 32) & 1 != 0
    }

    pub(crate) fn rectified(&self, source: u32) -> bool {
        self.read(in_clrip(source / 32)) >> (source % 32) & 1 != 0
    }
}

pub(crate) fn raw(msis: &[Msi]) -> Vec<u32> {
    msis.iter()
        .map(|msi| msi.hart.0 << 18 | msi.guest.0 << 12 | msi.identity.number())
        .collect()
}

/// Numbers that look random, and are the same each time.
pub(crate) fn numbers() -> impl Iterator<Item = u64> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    std::iter::from_fn(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        Some(state)
    })
}

/// Random accesses have the results of a model that has a struct for each source.
#[test]
fn accesses_do_what_the_model_does() {
    for sources in [1, 31, 32, 63, 96, 1000, 1023] {
        let mut pair = model::Pair::new(sources);
        for number in numbers().take(60_000) {
            pair.step(number as u8, (number >> 8) as u16, (number >> 24) as u32);
        }
        pair.compare();
    }
}
