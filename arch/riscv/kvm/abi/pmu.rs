// SPDX-License-Identifier: GPL-2.0

//! The performance monitoring unit that a guest has through its SBI. Depends on `core` alone.
//!
//! Counters have indices. Those of the hardware come first, at the index of their CSR: `cycle` is
//! 0, `instret` is 2, and `hpmcounter3` is 3. At index 1 would be `time`, which is no counter. Then
//! come those of the firmware, which count events that KVM sees.
//!
//! Reference: RISC-V Supervisor Binary Interface Specification, version 3.0, "Performance
//! Monitoring Unit Extension".

use super::{
    nospec::below,
    sbi::{
        FirmwareEvent,
        SbiError, //
    }, //
};

/// The index that the CSR `cycle` has as a counter.
pub const CYCLE: u32 = 0;
/// The index that the CSR `time` would have as a counter.
pub const TIME: u32 = 1;
/// The index that the CSR `instret` has as a counter.
pub const INSTRET: u32 = 2;
/// The number of the first counter that can count any event of the hardware.
pub const FIRST_PROGRAMMABLE: u32 = 3;
/// How many indices the CSRs take.
pub const HARDWARE_MAX: u32 = 32;
/// How many counters of the firmware there are: one for each event.
pub const FIRMWARE: u32 = FirmwareEvent::HfenceVvmaAsidReceived.raw() + 1;
/// How many counters a set names at most, whatever its base is.
const SET_MAX: u32 = u64::BITS;

/// The number of bits of a counter of the firmware, and of `cycle` and `instret`.
const BITS: u32 = 64;

/// The counters that a guest has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    /// How many indices the counters of the hardware take, that of `time` included.
    hardware: u32,
    /// The number of bits of a programmable counter, from 1 to 64.
    bits: u32,
}

/// A counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// A counter of the hardware, by its index.
    Hardware(u32),
    /// A counter of the firmware, by its index among those.
    Firmware(u32),
}

impl Counters {
    /// Returns the counters of a guest on a host that has `counters` counters of the hardware, and
    /// whose programmable ones have `bits` bits; or [`None`] if a guest has none there.
    pub const fn new(counters: u32, bits: u32) -> Option<Self> {
        if counters == 0 || bits == 0 || bits > BITS {
            return None;
        }
        let hardware = counters.saturating_add(1);
        Some(Self {
            hardware: if hardware < HARDWARE_MAX {
                hardware
            } else {
                HARDWARE_MAX
            },
            bits,
        })
    }

    /// Returns how many indices there are: the result of `sbi_pmu_num_counters`.
    pub const fn count(self) -> u32 {
        self.hardware + FIRMWARE
    }

    /// Returns the counter with an index.
    pub fn get(self, index: u64) -> Option<Counter> {
        let hardware = u64::from(self.hardware);
        if let Some(index) = below(index, hardware) {
            let index = index as u32;
            (index != TIME).then_some(Counter::Hardware(index))
        } else {
            let index = below(index - hardware, FIRMWARE.into())?;
            Some(Counter::Firmware(index as u32))
        }
    }

    /// Returns the counter of the hardware with an index.
    pub fn hardware(self, index: u64) -> Option<Counter> {
        let counter = self.get(index)?;
        matches!(counter, Counter::Hardware(_)).then_some(counter)
    }

    /// Returns the index of a counter.
    pub const fn index(self, counter: Counter) -> u32 {
        match counter {
            Counter::Hardware(index) => index,
            Counter::Firmware(index) => self.hardware + index,
        }
    }

    /// Returns the number of bits that a counter has.
    pub const fn bits(self, counter: Counter) -> u32 {
        match counter {
            Counter::Hardware(FIRST_PROGRAMMABLE..) => self.bits,
            _ => BITS,
        }
    }

    /// Returns what `sbi_pmu_counter_get_info` says about a counter.
    pub const fn info(self, counter: Counter) -> u64 {
        const WIDTH_SHIFT: u32 = 12;
        const FIRMWARE_TYPE: u64 = 1 << 63;
        const CYCLE_CSR: u64 = 0xc00;

        let width = ((self.bits(counter) - 1) as u64) << WIDTH_SHIFT;
        match counter {
            Counter::Hardware(index) => width | (CYCLE_CSR + index as u64),
            Counter::Firmware(_) => width | FIRMWARE_TYPE,
        }
    }

    /// Returns the set that two arguments of a call name.
    ///
    /// The index of `time` may be in it, because old kernels name all indices. It is left out.
    ///
    /// # Errors
    ///
    /// [`SbiError::InvalidParam`] if the set is empty, or has an index beyond the last.
    pub fn set(self, base: u64, mask: u64) -> Result<CounterSet, SbiError> {
        let last = mask.checked_ilog2().ok_or(SbiError::InvalidParam)?;
        let last = base
            .checked_add(u64::from(last))
            .ok_or(SbiError::InvalidParam)?;
        if last >= u64::from(self.count()) {
            return Err(SbiError::InvalidParam);
        }
        Ok(CounterSet {
            counters: self,
            base,
            mask,
        })
    }
}

/// A set of counters, not empty but for the index of `time`.
#[derive(Clone, Copy, Debug)]
pub struct CounterSet {
    counters: Counters,
    base: u64,
    mask: u64,
}

impl CounterSet {
    /// Returns the counters of the set, each with its distance from the base, below 64.
    pub fn iter(self) -> impl Iterator<Item = (u32, Counter)> {
        (0..SET_MAX)
            .filter(move |bit| self.mask >> bit & 1 != 0)
            .filter_map(move |bit| {
                let counter = self.counters.get(self.base + u64::from(bit))?;
                Some((bit, counter))
            })
    }

    /// Returns the first counter of the set, if it can count an event.
    pub fn first_for(self, event: Event) -> Option<Counter> {
        let (_, first) = self.iter().next()?;
        event.fits(first).then_some(first)
    }

    /// Returns the counter that `sbi_pmu_counter_config_matching` chooses for an event, where
    /// `is_free` tells whether a counter counts nothing yet.
    ///
    /// `cycle` and `instret` come first for the events that they count. They have more bits than
    /// others may have.
    pub fn choose(self, event: Event, is_free: impl Fn(Counter) -> bool) -> Option<Counter> {
        let free = |(_, counter): &(u32, Counter)| event.fits(*counter) && is_free(*counter);
        self.iter().find(free).map(|(_, counter)| counter)
    }
}

/// What a counter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A general event of the hardware.
    General(General),
    /// An event of a cache.
    Cache(CacheEvent),
    /// An event as `mhpmeventX` of the hart encodes it.
    Raw(u64),
    /// An event of the firmware.
    Firmware(FirmwareEvent),
}

impl Event {
    /// Decodes `event_idx` and `event_data`, or returns [`None`] if there is no such event.
    ///
    /// `event_data` is a parameter of raw events alone. The upper bits of a raw event are those of
    /// `mhpmeventX` that only the firmware sets, and are ignored.
    pub const fn new(idx: u64, data: u64) -> Option<Self> {
        const CODE_BITS: u32 = 16;
        const RAW: u64 = (1 << 48) - 1;
        const RAW_V2: u64 = (1 << 56) - 1;

        let code = (idx & ((1 << CODE_BITS) - 1)) as u32;
        match (idx >> CODE_BITS, code) {
            (0x0, _) => match General::new(code) {
                Some(event) => Some(Self::General(event)),
                None => None,
            },
            (0x1, _) => match CacheEvent::new(code) {
                Some(event) => Some(Self::Cache(event)),
                None => None,
            },
            (0x2, 0) => Some(Self::Raw(data & RAW)),
            (0x3, 0) => Some(Self::Raw(data & RAW_V2)),
            (0xf, _) => match FirmwareEvent::from_raw(code) {
                Some(event) => Some(Self::Firmware(event)),
                None => None,
            },
            _ => None,
        }
    }

    /// Returns whether a counter can count this event.
    fn fits(self, counter: Counter) -> bool {
        match (counter, self) {
            (Counter::Hardware(_), Self::Firmware(_)) => false,
            (Counter::Hardware(CYCLE), _) => self == Self::General(General::CPU_CYCLES),
            (Counter::Hardware(INSTRET), _) => self == Self::General(General::INSTRUCTIONS),
            (Counter::Hardware(_), _) => true,
            (Counter::Firmware(_), _) => matches!(self, Self::Firmware(_)),
        }
    }
}

/// A general event of the hardware (`SBI_PMU_HW_*`), by its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct General(u32);

impl General {
    const CPU_CYCLES: Self = Self(1);
    const INSTRUCTIONS: Self = Self(2);
    const LAST: u32 = 10;

    const fn new(code: u32) -> Option<Self> {
        if code == 0 || code > Self::LAST {
            None
        } else {
            Some(Self(code))
        }
    }

    /// Returns the event as `PERF_TYPE_HARDWARE` has it in `perf_event_attr.config`: these are the
    /// same events in the same order, from 0.
    pub const fn perf_config(self) -> u64 {
        (self.0 - 1) as u64
    }
}

/// An event of a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheEvent {
    cache: u32,
    op: u32,
    result: u32,
}

impl CacheEvent {
    const CACHES: u32 = 7;
    const OPS: u32 = 3;

    const fn new(code: u32) -> Option<Self> {
        let event = Self {
            cache: code >> 3,
            op: code >> 1 & 3,
            result: code & 1,
        };
        if event.cache < Self::CACHES && event.op < Self::OPS {
            Some(event)
        } else {
            None
        }
    }

    /// Returns the event as `PERF_TYPE_HW_CACHE` has it in `perf_event_attr.config`: the numbers
    /// are the same, one a byte.
    pub const fn perf_config(self) -> u64 {
        (self.cache | self.op << 8 | self.result << 16) as u64
    }
}

/// The flags of `sbi_pmu_counter_config_matching`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigFlags(u64);

impl ConfigFlags {
    const SKIP_MATCH: u64 = 1 << 0;
    const CLEAR_VALUE: u64 = 1 << 1;
    const AUTO_START: u64 = 1 << 2;
    const SET_UINH: u64 = 1 << 5;
    const SET_SINH: u64 = 1 << 6;
    const ALL: u64 = (1 << 8) - 1;

    /// Takes the argument, or returns [`None`] if it has a bit that is reserved.
    pub const fn new(flags: u64) -> Option<Self> {
        if flags & !Self::ALL == 0 {
            Some(Self(flags))
        } else {
            None
        }
    }

    /// Returns whether the first counter of the set is to be taken, whatever it counts now.
    pub const fn skips_match(self) -> bool {
        self.0 & Self::SKIP_MATCH != 0
    }

    /// Returns whether the value of the counter becomes zero.
    pub const fn clears_value(self) -> bool {
        self.0 & Self::CLEAR_VALUE != 0
    }

    /// Returns whether the counter starts.
    pub const fn starts(self) -> bool {
        self.0 & Self::AUTO_START != 0
    }

    /// Returns whether nothing is counted in the guest's U-mode, which is VU-mode of the hart. The
    /// guest has no VU-mode itself.
    pub const fn excludes_user(self) -> bool {
        self.0 & Self::SET_UINH != 0
    }

    /// Returns whether nothing is counted in the guest's S-mode, which is VS-mode of the hart.
    pub const fn excludes_kernel(self) -> bool {
        self.0 & Self::SET_SINH != 0
    }
}

/// Where `sbi_pmu_counter_start` takes the value from that a counter starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartValue {
    /// The counter goes on from its current value.
    Current,
    /// An argument of the call is the value.
    Argument,
    /// The value stands in the snapshot.
    Snapshot,
}

impl StartValue {
    /// Decodes the flags, or returns [`None`] if one is reserved, or if the two contradict each
    /// other.
    pub const fn from_flags(flags: u64) -> Option<Self> {
        match flags {
            0 => Some(Self::Current),
            1 => Some(Self::Argument),
            2 => Some(Self::Snapshot),
            _ => None,
        }
    }
}

/// The flags of `sbi_pmu_counter_stop`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopFlags {
    /// Whether the counters count nothing from now on, until they are configured again.
    pub resets: bool,
    /// Whether values are saved in the snapshot.
    pub saves: bool,
}

impl StopFlags {
    /// Decodes the flags, or returns [`None`] if one is reserved.
    pub const fn new(flags: u64) -> Option<Self> {
        if flags > 3 {
            return None;
        }
        Some(Self {
            resets: flags & 1 != 0,
            saves: flags & 2 != 0,
        })
    }
}

/// The memory in which a guest and its SBI exchange the values of counters.
///
/// The first 8 bytes say which counters have overflowed. The values follow, of 8 bytes each. Both
/// go by the distance from the base of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    address: u64,
}

impl Snapshot {
    /// The size of the memory, and what its address is a multiple of, in bytes.
    pub const SIZE: usize = 4096;

    /// Takes the address, or returns [`None`] if it is not aligned.
    pub const fn new(address: u64) -> Option<Self> {
        if address % Self::SIZE as u64 == 0 {
            Some(Self { address })
        } else {
            None
        }
    }

    /// Returns the address of the memory, and of the bits of the counters that have overflowed.
    pub const fn address(self) -> u64 {
        self.address
    }

    /// Returns the address of the value of the counter at a distance below 64 from the base.
    pub const fn value(self, distance: u32) -> u64 {
        self.address + 8 + 8 * (distance % SET_MAX) as u64
    }
}

/// An entry of the memory that `sbi_pmu_event_get_info` works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventInfo {
    /// The bytes of the entry.
    pub bytes: [u8; Self::SIZE],
}

impl EventInfo {
    /// The size of an entry, and what the address of the memory is a multiple of, in bytes.
    pub const SIZE: usize = 16;
    /// Where the answer is in an entry. It has 4 bytes.
    pub const OUTPUT: u64 = 4;

    fn u32_at(&self, at: usize) -> u32 {
        let bytes = self.bytes.get(at..).and_then(|rest| rest.first_chunk());
        u32::from_le_bytes(bytes.copied().unwrap_or_default())
    }

    /// Returns the event that the entry asks for, if there is one.
    ///
    /// # Errors
    ///
    /// [`SbiError::InvalidParam`] if a reserved bit of `event_idx` is set.
    pub fn event(&self) -> Result<Option<Event>, SbiError> {
        const IDX_BITS: u32 = 20;

        let idx = self.u32_at(0);
        if idx >> IDX_BITS != 0 {
            return Err(SbiError::InvalidParam);
        }
        let data = u64::from(self.u32_at(12)) << 32 | u64::from(self.u32_at(8));
        Ok(Event::new(idx.into(), data))
    }
}
