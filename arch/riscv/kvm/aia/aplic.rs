// SPDX-License-Identifier: GPL-2.0

//! An interrupt domain of an APLIC: supervisor level, no children, MSI delivery mode. Depends on
//! `core` alone.
//!
//! An access touches one source or the 32 sources of one word. Messages that follow from an access
//! are not sent by it: the access returns [`Deliveries`], and [`Domain::take`] takes the messages
//! in batches, so that a lock is never held for long.
//!
//! Sections are those of the specification of the AIA, version 1.0. Where it leaves a choice:
//!
//! - A write to `sourcecfg` makes nothing pending (section 4.5.2). Otherwise a source whose wire is
//!   high would be delivered again where it is restored. A value that is reserved leaves the
//!   register as it is.
//! - A source keeps its interrupt while the field EIID of its target is 0: there is no such
//!   interrupt, so the message would be lost. Section 4.9 says when a message may be sent, not that
//!   it is sent then.
//! - The target of an inactive source reads as zero, but is the one that is written last once the
//!   source is active; section 4.5.2 calls it unspecified.
//!
//! So a domain is restored by writing `sourcecfg` of all sources, and then `setip`, `setie`,
//! `target` and `domaincfg` in any order. Wires are no registers. If user space sets them before
//! the registers, then each interrupt is delivered exactly once. If it sets them later, then the
//! input of a source may rise, which is an interrupt. `genmsi` is no state: a write to it sends a
//! message.

use core::ops::DerefMut;

use crate::abi::{
    aia::{
        domaincfg,
        sourcecfg,
        AplicReg,
        Msi,
        Source,
        SourceMode,
        Target,
        Word, //
    },
    nospec,
};

/// The bits of 32 words with 32 sources each.
type Bits = [u32; Word::COUNT];

/// The level of the wire of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// 0
    Low,
    /// 1
    High,
}

/// An interrupt domain. `S` holds the `target` registers, from that of source 1 on, and its length
/// is the number of sources.
///
/// # Invariants
///
/// - Only active sources are enabled or pending.
/// - A pending source that is sensitive to a level has a high rectified input.
/// - Bits of sources that do not exist are zero.
pub struct Domain<S> {
    targets: S,
    genmsi: Target,
    is_enabled: bool,
    // The source modes, by property, so that an access to a word need not go through its sources.
    active: Bits,
    attached: Bits,
    level: Bits,
    inverted: Bits,
    /// The wires.
    input: Bits,
    enabled: Bits,
    pending: Bits,
}

/// The sources that may have become deliverable by an access, and a message that `genmsi` sends.
///
/// Whoever gets this passes it to [`Domain::take`] until nothing is left. Sources that others make
/// deliverable in the meantime are in what those get, so the work is bounded.
#[must_use = "interrupts stay undelivered"]
#[derive(Debug)]
pub struct Deliveries {
    /// Words that have not been looked at.
    words: u32,
    /// The word that is being looked at, and the sources left in it.
    word: u32,
    left: u32,
    extempore: Option<Msi>,
}

impl Deliveries {
    /// Nothing to deliver.
    const NONE: Self = Self {
        words: 0,
        word: 0,
        left: 0,
        extempore: None,
    };

    fn of_word(word: Word, sources: u32) -> Self {
        Self {
            word: word.index() as u32,
            left: sources,
            ..Self::NONE
        }
    }

    fn everything() -> Self {
        Self {
            words: u32::MAX,
            ..Self::NONE
        }
    }

    /// Returns whether nothing is left.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.words == 0 && self.left == 0 && self.extempore.is_none()
    }
}

/// Messages to send. Up to [`Batch::MAX`] of them, or none.
#[derive(Debug)]
pub struct Batch {
    msis: [Option<Msi>; Self::MAX],
    len: usize,
}

impl Batch {
    /// How many sources are looked at for one batch.
    pub const MAX: usize = 8;

    fn new() -> Self {
        Self {
            msis: [None; Self::MAX],
            len: 0,
        }
    }

    fn push(&mut self, msi: Msi) {
        if let Some(place) = self.msis.get_mut(self.len) {
            *place = Some(msi);
            self.len += 1;
        }
    }

    /// Returns the messages, in the order in which they are to be sent.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = Msi> + '_ {
        self.msis.iter().flatten().copied()
    }
}

impl<S: DerefMut<Target = [Target]>> Domain<S> {
    /// Returns a domain after reset: all sources are inactive, all wires low.
    ///
    /// `targets` has one entry for each source. Entries beyond [`Source::MAX`] are not used.
    pub fn new(mut targets: S) -> Self {
        targets.fill(Target::default());
        Self {
            targets,
            genmsi: Target::default(),
            is_enabled: false,
            active: [0; Word::COUNT],
            attached: [0; Word::COUNT],
            level: [0; Word::COUNT],
            inverted: [0; Word::COUNT],
            input: [0; Word::COUNT],
            enabled: [0; Word::COUNT],
            pending: [0; Word::COUNT],
        }
    }

    /// Returns the place of a source in `targets`, or [`None`] if it does not exist.
    #[inline]
    fn place(&self, source: Source) -> Option<usize> {
        let index = u64::from(source.number()) - 1;
        nospec::below(index, self.targets.len() as u64).map(|index| index as usize)
    }

    /// Returns the source with a number that a register was given, if it exists.
    #[inline]
    fn source(&self, number: u32) -> Option<Source> {
        Source::new(number).filter(|source| self.place(*source).is_some())
    }

    /// Returns whether a register is there to be saved and restored: those of sources that do not
    /// exist, and reserved bytes, are not. For a guest, they are read-only zeros.
    pub fn implements(&self, reg: AplicReg) -> bool {
        match reg {
            AplicReg::SourceCfg(source) | AplicReg::Target(source) => self.place(source).is_some(),
            AplicReg::SetIp(word)
            | AplicReg::InClrIp(word)
            | AplicReg::SetIe(word)
            | AplicReg::ClrIe(word) => word.index() <= self.targets.len() / 32,
            AplicReg::Reserved => false,
            _ => true,
        }
    }

    /// Reads a register.
    pub fn read(&self, reg: AplicReg) -> u32 {
        match reg {
            AplicReg::DomainCfg => {
                let ie = if self.is_enabled { domaincfg::IE } else { 0 };
                domaincfg::READ_ONLY | domaincfg::DM | ie
            }
            AplicReg::SourceCfg(source) => self.mode(source).raw(),
            AplicReg::SetIp(word) => self.pending[word.index()],
            AplicReg::InClrIp(word) => self.rectified(word),
            AplicReg::SetIe(word) => self.enabled[word.index()],
            AplicReg::GenMsi => self.genmsi.raw(),
            AplicReg::Target(source) if self.mode(source).is_active() => self.target(source).raw(),
            AplicReg::Target(_)
            | AplicReg::SetIpNum
            | AplicReg::ClrIpNum
            | AplicReg::SetIeNum
            | AplicReg::ClrIe(_)
            | AplicReg::ClrIeNum
            | AplicReg::SetIpNumLe
            | AplicReg::SetIpNumBe
            | AplicReg::Reserved => 0,
        }
    }

    /// Writes a register.
    pub fn write(&mut self, reg: AplicReg, value: u32) -> Deliveries {
        match reg {
            AplicReg::DomainCfg => {
                self.is_enabled = value & domaincfg::IE != 0;
                return if self.is_enabled {
                    Deliveries::everything()
                } else {
                    Deliveries::NONE
                };
            }
            AplicReg::SourceCfg(source) => self.write_sourcecfg(source, value),
            AplicReg::SetIp(word) => return self.set_pending(word, value),
            AplicReg::SetIpNum | AplicReg::SetIpNumLe => return self.set_pending_number(value),
            AplicReg::SetIpNumBe => return self.set_pending_number(value.swap_bytes()),
            AplicReg::InClrIp(word) => self.pending[word.index()] &= !value,
            AplicReg::ClrIpNum => {
                if let Some(source) = self.source(value) {
                    self.pending[source.word().index()] &= !source.mask();
                }
            }
            AplicReg::SetIe(word) => return self.set_enabled(word, value),
            AplicReg::SetIeNum => {
                if let Some(source) = self.source(value) {
                    return self.set_enabled(source.word(), source.mask());
                }
            }
            AplicReg::ClrIe(word) => self.enabled[word.index()] &= !value,
            AplicReg::ClrIeNum => {
                if let Some(source) = self.source(value) {
                    self.enabled[source.word().index()] &= !source.mask();
                }
            }
            AplicReg::GenMsi => {
                self.genmsi = Target::from_raw(value);
                return Deliveries {
                    extempore: self.genmsi.msi(),
                    ..Deliveries::NONE
                };
            }
            AplicReg::Target(source) => {
                if let Some(place) = self.place(source) {
                    if let Some(target) = self.targets.get_mut(place) {
                        *target = Target::from_raw(value);
                    }
                    return self.deliveries(source.word(), source.mask());
                }
            }
            AplicReg::Reserved => {}
        }
        Deliveries::NONE
    }

    /// Sets the wire of a source, or returns [`None`] if there is no such source.
    pub fn set_input(&mut self, source: Source, level: Level) -> Option<Deliveries> {
        self.place(source)?;
        let (word, mask) = (source.word(), source.mask());
        let before = self.rectified(word);
        match level {
            Level::Low => self.input[word.index()] &= !mask,
            Level::High => self.input[word.index()] |= mask,
        }
        let after = self.rectified(word);
        // INVARIANT: The rectified input of a source that is not active is low.
        self.pending[word.index()] |= after & !before;
        self.settle_levels(word);
        Some(self.deliveries(word, mask))
    }

    /// Takes messages that are to be sent now, or returns [`None`] if nothing is left. The batch
    /// can be empty although more is left.
    ///
    /// A message that is taken is no longer pending. Messages have to be sent before the lock is
    /// dropped, if one that `genmsi` sends must not overtake those that are on their way (section
    /// 4.5.15).
    pub fn take(&mut self, deliveries: &mut Deliveries) -> Option<Batch> {
        if deliveries.is_empty() {
            return None;
        }
        let mut batch = Batch::new();
        if let Some(msi) = deliveries.extempore.take() {
            batch.push(msi);
            return Some(batch);
        }
        if !self.is_enabled {
            *deliveries = Deliveries::NONE;
            return Some(batch);
        }
        for _ in 0..Batch::MAX {
            while deliveries.left == 0 && deliveries.words != 0 {
                deliveries.word = deliveries.words.trailing_zeros();
                deliveries.words &= deliveries.words - 1;
                deliveries.left = self.deliverable(Word::new(deliveries.word));
            }
            let word = Word::new(deliveries.word);
            deliveries.left &= self.deliverable(word);
            if deliveries.left == 0 {
                break;
            }
            let bit = deliveries.left.trailing_zeros();
            deliveries.left &= deliveries.left - 1;
            let Some(source) = Source::of_bit(word, bit) else {
                continue;
            };
            // A source that has no target yet keeps its interrupt.
            if let Some(msi) = self.target(source).msi() {
                self.pending[word.index()] &= !source.mask();
                batch.push(msi);
            }
        }
        Some(batch)
    }

    fn write_sourcecfg(&mut self, source: Source, value: u32) {
        if self.place(source).is_none() {
            return;
        }
        let mode = if value & sourcecfg::D != 0 {
            SourceMode::Inactive
        } else {
            match SourceMode::from_raw(value & sourcecfg::SM) {
                Some(mode) => mode,
                None => return,
            }
        };
        let (index, mask) = (source.word().index(), source.mask());
        let assign = |bits: &mut Bits, value| {
            if value {
                bits[index] |= mask;
            } else {
                bits[index] &= !mask;
            }
        };
        assign(&mut self.active, mode.is_active());
        assign(&mut self.attached, mode.is_attached());
        assign(&mut self.level, mode.is_level());
        assign(&mut self.inverted, mode.is_inverted());
        self.enabled[index] &= self.active[index];
        self.pending[index] &= self.active[index];
        self.settle_levels(source.word());
    }

    fn mode(&self, source: Source) -> SourceMode {
        let (index, mask) = (source.word().index(), source.mask());
        let has = |bits: &Bits| bits[index] & mask != 0;
        match (has(&self.active), has(&self.attached)) {
            (false, _) => SourceMode::Inactive,
            (true, false) => SourceMode::Detached,
            (true, true) => match (has(&self.level), has(&self.inverted)) {
                (false, false) => SourceMode::Edge1,
                (false, true) => SourceMode::Edge0,
                (true, false) => SourceMode::Level1,
                (true, true) => SourceMode::Level0,
            },
        }
    }

    fn target(&self, source: Source) -> Target {
        self.place(source)
            .and_then(|place| self.targets.get(place).copied())
            .unwrap_or_default()
    }

    /// Returns the rectified inputs of 32 sources (section 4.5.2).
    #[inline]
    fn rectified(&self, word: Word) -> u32 {
        let index = word.index();
        (self.input[index] ^ self.inverted[index]) & self.attached[index]
    }

    /// Makes sources of a low level not pending.
    #[inline]
    fn settle_levels(&mut self, word: Word) {
        let low = self.level[word.index()] & !self.rectified(word);
        self.pending[word.index()] &= !low;
    }

    fn set_pending(&mut self, word: Word, sources: u32) -> Deliveries {
        self.pending[word.index()] |= sources & self.active[word.index()];
        self.settle_levels(word);
        self.deliveries(word, sources)
    }

    fn set_pending_number(&mut self, number: u32) -> Deliveries {
        match self.source(number) {
            Some(source) => self.set_pending(source.word(), source.mask()),
            None => Deliveries::NONE,
        }
    }

    fn set_enabled(&mut self, word: Word, sources: u32) -> Deliveries {
        self.enabled[word.index()] |= sources & self.active[word.index()];
        self.deliveries(word, sources)
    }

    /// Returns the sources that are both pending and enabled.
    #[inline]
    fn deliverable(&self, word: Word) -> u32 {
        self.pending[word.index()] & self.enabled[word.index()]
    }

    /// Returns those of the sources that an interrupt can be delivered of.
    #[inline]
    fn deliveries(&self, word: Word, sources: u32) -> Deliveries {
        if self.is_enabled {
            Deliveries::of_word(word, sources & self.deliverable(word))
        } else {
            Deliveries::NONE
        }
    }
}
