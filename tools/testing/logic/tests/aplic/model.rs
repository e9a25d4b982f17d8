// SPDX-License-Identifier: GPL-2.0

//! A model of an interrupt domain that does what the specification says, source by source, and a
//! domain that has to do the same.

use kvm_riscv_logic::{
    abi::aia::{
        AplicReg,
        Source,
        Target, //
    },
    aia::aplic::{
        Batch,
        Deliveries,
        Domain,
        Level, //
    }, //
};

#[derive(Clone, Default)]
struct Line {
    mode: u32,
    wire: bool,
    pending: bool,
    enabled: bool,
    target: u32,
}

impl Line {
    fn is_active(&self) -> bool {
        self.mode != 0
    }

    fn is_level(&self) -> bool {
        self.mode == 6 || self.mode == 7
    }

    fn rectified(&self) -> bool {
        match self.mode {
            4 | 6 => self.wire,
            5 | 7 => !self.wire,
            _ => false,
        }
    }

    fn set_pending(&mut self) {
        if self.is_active() && (!self.is_level() || self.rectified()) {
            self.pending = true;
        }
    }

    fn settle(&mut self) {
        if !self.is_active() {
            self.pending = false;
            self.enabled = false;
        }
        if self.is_level() && !self.rectified() {
            self.pending = false;
        }
    }
}

/// The model. Line 0 is that of no source.
struct Model {
    lines: Vec<Line>,
    is_enabled: bool,
    genmsi: u32,
}

impl Model {
    fn word(&self, offset: u64, bit: fn(&Line) -> bool) -> u32 {
        let first = (offset as usize / 4 % 32) * 32;
        (0..32)
            .filter(|i| self.lines.get(first + i).is_some_and(bit))
            .fold(0, |word, i| word | 1 << i)
    }

    fn read(&self, offset: u64) -> u32 {
        let line = self.lines.get(offset as usize / 4 % 1024);
        match offset {
            0 => 0x8000_0004 | u32::from(self.is_enabled) << 8,
            0x4..=0xfff => line.map_or(0, |line| line.mode),
            0x1c00..=0x1c7f => self.word(offset, |line| line.pending),
            0x1d00..=0x1d7f => self.word(offset, Line::rectified),
            0x1e00..=0x1e7f => self.word(offset, |line| line.enabled),
            0x3000 => self.genmsi,
            0x3004..=0x3fff => line
                .filter(|line| line.is_active())
                .map_or(0, |line| line.target),
            _ => 0,
        }
    }

    fn each(&mut self, offset: u64, value: u32, act: fn(&mut Line)) {
        for i in (0..32).filter(|i| value >> i & 1 != 0) {
            self.one((offset as u32 / 4 % 32) * 32 + i, act);
        }
    }

    fn one(&mut self, number: u32, act: fn(&mut Line)) {
        if let Some(line) = self.lines.get_mut(number as usize).filter(|_| number != 0) {
            act(line);
        }
    }

    /// Writes, and returns the values of `target` that messages are sent to.
    fn write(&mut self, offset: u64, value: u32) -> Vec<u32> {
        let place = offset as usize / 4 % 1024;
        let set_enabled = |line: &mut Line| line.enabled |= line.is_active();
        let clear_enabled = |line: &mut Line| line.enabled = false;
        let clear_pending = |line: &mut Line| line.pending = false;

        match offset {
            0 => self.is_enabled = value >> 8 & 1 != 0,
            0x4..=0xfff => {
                if let Some(line) = self.lines.get_mut(place) {
                    match (value >> 10 & 1, value & 7) {
                        (1, _) => line.mode = 0,
                        (_, 2 | 3) => (),
                        (_, mode) => line.mode = mode,
                    }
                    line.settle();
                }
            }
            0x1c00..=0x1c7f => self.each(offset, value, Line::set_pending),
            0x1cdc | 0x2000 => self.one(value, Line::set_pending),
            0x2004 => self.one(value.swap_bytes(), Line::set_pending),
            0x1d00..=0x1d7f => self.each(offset, value, clear_pending),
            0x1ddc => self.one(value, clear_pending),
            0x1e00..=0x1e7f => self.each(offset, value, set_enabled),
            0x1edc => self.one(value, set_enabled),
            0x1f00..=0x1f7f => self.each(offset, value, clear_enabled),
            0x1fdc => self.one(value, clear_enabled),
            0x3000 => {
                self.genmsi = value & 0xfffc_07ff;
                if value & 0x7ff != 0 {
                    return vec![self.genmsi];
                }
            }
            0x3004..=0x3fff => {
                if let Some(line) = self.lines.get_mut(place) {
                    line.target = value & 0xfffc_07ff;
                }
            }
            _ => (),
        }
        self.deliver()
    }

    fn set_input(&mut self, number: usize, wire: bool) -> Vec<u32> {
        let line = &mut self.lines[number];
        let before = line.rectified();
        line.wire = wire;
        if !before && line.rectified() {
            line.pending = true;
        }
        line.settle();
        self.deliver()
    }

    fn deliver(&mut self) -> Vec<u32> {
        let mut sent = Vec::new();
        for line in &mut self.lines {
            if self.is_enabled && line.pending && line.enabled && line.target & 0x7ff != 0 {
                line.pending = false;
                sent.push(line.target);
            }
        }
        sent
    }
}

/// The model and a domain.
pub(crate) struct Pair {
    model: Model,
    domain: Domain<Vec<Target>>,
}

impl Pair {
    pub(crate) fn new(sources: usize) -> Self {
        let sources = sources.min(1023);
        Self {
            model: Model {
                lines: vec![Line::default(); sources + 1],
                is_enabled: false,
                genmsi: 0,
            },
            domain: Domain::new(vec![Target::default(); sources]),
        }
    }

    fn drain(&mut self, mut deliveries: Deliveries) -> Vec<u32> {
        let mut sent = Vec::new();
        let mut batches = 0;
        while let Some(batch) = self.domain.take(&mut deliveries) {
            let before = sent.len();
            sent.extend(
                batch
                    .iter()
                    .map(|msi| msi.hart.0 << 18 | msi.guest.0 << 12 | msi.identity.number()),
            );
            assert!(sent.len() - before <= Batch::MAX);
            batches += 1;
        }
        assert!(batches <= 1 + 1024 / Batch::MAX);
        sent
    }

    /// Makes an access that these numbers choose, and compares what it does.
    pub(crate) fn step(&mut self, choice: u8, place: u16, value: u32) {
        let bits = u64::from(place) * 4;
        let number = u32::from(place) % (self.model.lines.len() as u32 + 2);
        let offset = match choice % 32 {
            0 => 0,
            1..=4 => bits & 0xffc,
            5..=6 => 0x1c00 | bits & 0x7c,
            7 => 0x1d00 | bits & 0x7c,
            8..=9 => 0x1e00 | bits & 0x7c,
            10 => 0x1f00 | bits & 0x7c,
            11..=12 => 0x1cdc,
            13 => 0x1ddc,
            14..=15 => 0x1edc,
            16 => 0x1fdc,
            17 => 0x2000,
            18 => 0x2004,
            19 => 0x3000,
            20..=22 => 0x3000 | bits & 0xffc,
            23 => bits & 0x3ffc,
            _ => {
                let wire = value & 1 != 0;
                let level = if wire { Level::High } else { Level::Low };
                let source = Source::new(number);
                let deliveries = source.and_then(|source| self.domain.set_input(source, level));
                let exists = (1..self.model.lines.len()).contains(&(number as usize));
                assert_eq!(deliveries.is_some(), exists);
                if let Some(deliveries) = deliveries {
                    let sent = self.drain(deliveries);
                    assert_eq!(sent, self.model.set_input(number as usize, wire));
                }
                return;
            }
        };
        // Most numbers are those of no source.
        let value = match choice % 32 {
            11..=17 if value & 7 != 0 => number,
            18 if value & 7 != 0 => number.swap_bytes(),
            1..=4 if value & 31 != 0 => value & 7,
            0 if value & 3 != 0 => 1 << 8,
            _ => value,
        };
        let reg = AplicReg::decode(offset).unwrap();

        assert_eq!(self.domain.read(reg), self.model.read(offset));
        let deliveries = self.domain.write(reg, value);
        assert_eq!(self.drain(deliveries), self.model.write(offset, value));
        assert_eq!(self.domain.read(reg), self.model.read(offset));
    }

    /// Compares all registers.
    pub(crate) fn compare(&self) {
        for offset in (0..0x4000).step_by(4) {
            let reg = AplicReg::decode(offset).unwrap();

            assert_eq!(
                self.domain.read(reg),
                self.model.read(offset),
                "{offset:#x}"
            );
        }
    }
}
