// SPDX-License-Identifier: GPL-2.0

//! A model of an interrupt file that does what the specification says, identity by identity, and a
//! file that has to do the same.

use kvm_riscv_logic::{
    abi::aia::{
        Identity,
        ImsicReg,
        IndirectReg, //
    },
    aia::imsic::{
        File,
        Snapshot, //
    }, //
};

/// The model. Interrupts are numbered by their identities.
struct Model {
    pending: Vec<bool>,
    enabled: Vec<bool>,
    delivery: u64,
    threshold: u64,
}

impl Model {
    fn last(&self) -> usize {
        self.pending.len() - 1
    }

    fn top(&self) -> u32 {
        (1..=self.last())
            .filter(|i| self.pending[*i] && self.enabled[*i])
            .find(|i| self.threshold == 0 || (*i as u64) < self.threshold)
            .map_or(0, |i| i as u32)
    }

    fn word(bits: &[bool], siselect: u64) -> u64 {
        let first = (siselect as usize & 0x3e) * 32;
        (0..64)
            .filter(|i| bits.get(first + i) == Some(&true))
            .fold(0, |word, i| word | 1 << i)
    }

    fn set_word(bits: &mut [bool], siselect: u64, word: u64) {
        let first = (siselect as usize & 0x3e) * 32;
        for i in 0..64 {
            if let Some(bit) = bits.get_mut(first + i).filter(|_| first + i != 0) {
                *bit = word >> i & 1 != 0;
            }
        }
    }

    fn read(&self, siselect: u64) -> u64 {
        match siselect {
            0x70 => self.delivery,
            0x72 => self.threshold,
            0x80..=0xbf => Self::word(&self.pending, siselect),
            0xc0..=0xff => Self::word(&self.enabled, siselect),
            _ => 0,
        }
    }

    fn write(&mut self, siselect: u64, value: u64) {
        match siselect {
            0x70 => self.delivery = value & 1,
            0x72 => self.threshold = value % (self.last() as u64).next_power_of_two(),
            0x80..=0xbf => Self::set_word(&mut self.pending, siselect, value),
            0xc0..=0xff => Self::set_word(&mut self.enabled, siselect, value),
            _ => (),
        }
    }
}

/// The model and a file.
pub(crate) struct Pair {
    model: Model,
    file: File,
}

impl Pair {
    /// The number of identities is rounded up.
    pub(crate) fn new(last: u32) -> Self {
        let last = last.clamp(1, 2047) | 63;
        Self {
            model: Model {
                pending: vec![false; last as usize + 1],
                enabled: vec![false; last as usize + 1],
                delivery: 0,
                threshold: 0,
            },
            file: File::new(Identity::new(last).unwrap()),
        }
    }

    /// Makes an access that these numbers choose, and compares what it does.
    pub(crate) fn step(&mut self, choice: u8, place: u16, value: u64, mask: u64) {
        let siselect = match choice % 16 {
            0 => 0x70,
            1 => 0x72,
            2 => 0x70 | u64::from(place) & 0xf,
            3..=5 => 0x80 | u64::from(place) & 0x3e,
            6..=9 => 0xc0 | u64::from(place) & 0x3e,
            10 => return self.exchange(value, mask),
            11..=12 => {
                let top = self.model.top();
                assert_eq!(self.file.claim().map_or(0, Identity::number), top);
                if top != 0 {
                    self.model.pending[top as usize] = false;
                }
                return self.compare();
            }
            _ => {
                let number = u32::from(place) & 0x7ff;
                if let Some(identity) = Identity::new(number) {
                    self.file.set_pending(identity);
                    if let Some(pending) = self.model.pending.get_mut(number as usize) {
                        *pending = true;
                    }
                }
                return self.compare();
            }
        };
        let Ok(IndirectReg::Imsic(reg)) = IndirectReg::decode(siselect) else {
            panic!("{siselect:#x}");
        };
        let old = self.model.read(siselect);
        assert_eq!(self.file.read(reg), old);
        assert_eq!(self.file.modify(reg, value, mask), old);
        self.model.write(siselect, old & !mask | value & mask);
        assert_eq!(self.file.read(reg), self.model.read(siselect));
        self.compare();
    }

    /// Moves the file to a hart, where messages arrive, and back, while others arrive here.
    fn exchange(&mut self, there: u64, here: u64) {
        let mut hart = self.file.take();
        assert_eq!(self.file.take(), Snapshot::EMPTY);
        let number = |value: u64| (value % self.model.pending.len() as u64) as usize;
        let (there, here) = (number(there), number(here));
        if let Some(identity) = Identity::new(there as u32) {
            hart.eip[identity.eix().index()] |= identity.mask();
            self.model.pending[there] = true;
        }
        if let Some(identity) = Identity::new(here as u32) {
            self.file.set_pending(identity);
            self.model.pending[here] = true;
        }
        self.file.merge(&hart);
        for siselect in (0x70..0x100).step_by(2) {
            if let Ok(IndirectReg::Imsic(reg)) = IndirectReg::decode(siselect) {
                assert_eq!(self.file.read(reg), self.model.read(siselect));
                assert!(reg != ImsicReg::Reserved || self.file.read(reg) == 0);
            }
        }
        self.compare();
    }

    fn compare(&self) {
        let top = self.model.top();
        assert_eq!(self.file.topei().map_or(0, Identity::number), top);
        let external = self.file.external().map_or(0, Identity::number);
        assert_eq!(external, if self.model.delivery == 1 { top } else { 0 });
    }
}
