// SPDX-License-Identifier: GPL-2.0

//! Control and status registers: their numbers, their fields, and the instructions that access
//! them.
//!
//! Numbers and fields are those of the RISC-V privileged specification, chapters "Supervisor-Level
//! ISA" and "H Extension for Hypervisor Support".

use kernel::{
    bitfield,
    num::Bounded, //
};

/// `ssp`, of the Zicfiss extension.
pub(crate) const SSP: u16 = 0x011;
/// `seed`, of the Zkr extension.
pub(crate) const SEED: u16 = 0x015;
/// `sstatus`.
pub(crate) const SSTATUS: u16 = 0x100;
/// `scounteren`.
pub(crate) const SCOUNTEREN: u16 = 0x106;
/// `senvcfg`.
pub(crate) const SENVCFG: u16 = 0x10a;
/// `sstateen0`.
pub(crate) const SSTATEEN0: u16 = 0x10c;
/// `scause`.
pub(crate) const SCAUSE: u16 = 0x142;
/// `stval`.
pub(crate) const STVAL: u16 = 0x143;
/// `sireg`, of the AIA.
pub(crate) const SIREG: u16 = 0x151;
/// `stopei`, of the AIA.
pub(crate) const STOPEI: u16 = 0x15c;
/// `vsstatus`.
pub(crate) const VSSTATUS: u16 = 0x200;
/// `vsie`.
pub(crate) const VSIE: u16 = 0x204;
/// `vstvec`.
pub(crate) const VSTVEC: u16 = 0x205;
/// `vsscratch`.
pub(crate) const VSSCRATCH: u16 = 0x240;
/// `vsepc`.
pub(crate) const VSEPC: u16 = 0x241;
/// `vscause`.
pub(crate) const VSCAUSE: u16 = 0x242;
/// `vstval`.
pub(crate) const VSTVAL: u16 = 0x243;
/// `vstimecmp`.
pub(crate) const VSTIMECMP: u16 = 0x24d;
/// `vsiselect`.
pub(crate) const VSISELECT: u16 = 0x250;
/// `vsireg`.
pub(crate) const VSIREG: u16 = 0x251;
/// `vsatp`.
pub(crate) const VSATP: u16 = 0x280;
/// `hstatus`.
pub(crate) const HSTATUS: u16 = 0x600;
/// `hedeleg`.
pub(crate) const HEDELEG: u16 = 0x602;
/// `hideleg`.
pub(crate) const HIDELEG: u16 = 0x603;
/// `hie`.
pub(crate) const HIE: u16 = 0x604;
/// `htimedelta`.
pub(crate) const HTIMEDELTA: u16 = 0x605;
/// `hcounteren`.
pub(crate) const HCOUNTEREN: u16 = 0x606;
/// `hgeie`.
pub(crate) const HGEIE: u16 = 0x607;
/// `hvien`.
pub(crate) const HVIEN: u16 = 0x608;
/// `hvictl`.
pub(crate) const HVICTL: u16 = 0x609;
/// `henvcfg`.
pub(crate) const HENVCFG: u16 = 0x60a;
/// `hstateen0`.
pub(crate) const HSTATEEN0: u16 = 0x60c;
/// `htval`.
pub(crate) const HTVAL: u16 = 0x643;
/// `hvip`.
pub(crate) const HVIP: u16 = 0x645;
/// `hviprio1`.
pub(crate) const HVIPRIO1: u16 = 0x646;
/// `hviprio2`.
pub(crate) const HVIPRIO2: u16 = 0x647;
/// `htinst`.
pub(crate) const HTINST: u16 = 0x64a;
/// `hgatp`.
pub(crate) const HGATP: u16 = 0x680;
/// `cycle`.
pub(crate) const CYCLE: u16 = 0xc00;
/// `time`.
pub(crate) const TIME: u16 = 0xc01;
/// `hpmcounter31`.
pub(crate) const HPMCOUNTER31: u16 = 0xc1f;
/// `hgeip`.
pub(crate) const HGEIP: u16 = 0xe12;

/// Reads a CSR.
///
/// # Safety
///
/// The hart must have the CSR, and reading it must have no effect that the kernel does not expect.
#[inline(always)]
pub(crate) unsafe fn read<const CSR: u16>() -> u64 {
    let value: u64;
    // SAFETY: By the requirement. The order among accesses to CSRs and to memory is kept.
    unsafe { core::arch::asm!("csrr {}, {}", out(reg) value, const CSR, options(nostack)) };
    value
}

/// Writes a CSR.
///
/// # Safety
///
/// The hart must have the CSR, and the kernel must stay sound with this value in it.
#[inline(always)]
pub(crate) unsafe fn write<const CSR: u16>(value: u64) {
    // SAFETY: By the requirement.
    unsafe { core::arch::asm!("csrw {}, {}", const CSR, in(reg) value, options(nostack)) };
}

/// Writes a CSR and returns what it held.
///
/// # Safety
///
/// As for [`read`] and [`write`].
#[inline(always)]
pub(crate) unsafe fn swap<const CSR: u16>(value: u64) -> u64 {
    let old: u64;
    // SAFETY: By the requirement.
    unsafe {
        core::arch::asm!(
            "csrrw {}, {}, {}",
            out(reg) old,
            const CSR,
            in(reg) value,
            options(nostack),
        )
    };
    old
}

/// Sets bits of a CSR.
///
/// # Safety
///
/// As for [`write`], whatever the other bits are.
#[inline(always)]
pub(crate) unsafe fn set<const CSR: u16>(bits: u64) {
    // SAFETY: By the requirement.
    unsafe { core::arch::asm!("csrs {}, {}", const CSR, in(reg) bits, options(nostack)) };
}

/// Clears bits of a CSR.
///
/// # Safety
///
/// As for [`write`], whatever the other bits are.
#[inline(always)]
pub(crate) unsafe fn clear<const CSR: u16>(bits: u64) {
    // SAFETY: By the requirement.
    unsafe { core::arch::asm!("csrc {}, {}", const CSR, in(reg) bits, options(nostack)) };
}

/// Returns the time of the host, in ticks of the time base.
#[inline(always)]
pub(crate) fn time() -> u64 {
    // SAFETY: All harts that run Linux have `time`, and reading it has no effect.
    unsafe { read::<TIME>() }
}

bitfield! {
    /// `sstatus` and `vsstatus` ("Supervisor Status Register").
    pub(crate) struct Sstatus(u64) {
        /// Interrupts enabled.
        1:1 sie;
        /// Interrupts were enabled before the trap.
        5:5 spie;
        /// The trap came from S-mode.
        8:8 spp;
        /// State of the vector registers.
        10:9 vs => ExtState;
        /// State of the floating-point registers.
        14:13 fs => ExtState;
        /// A landing pad was expected before the trap (Zicfilp).
        23:23 spelp;
    }
}

bitfield! {
    /// `hstatus` ("Hypervisor Status Register").
    pub(crate) struct Hstatus(u64) {
        /// The trap wrote a guest virtual address to `stval`.
        6:6 gva;
        /// The trap came from V=1; SRET sets V to this.
        7:7 spv;
        /// The guest's privilege at the last trap from V=1; that of HLV and HSV.
        8:8 spvp;
        /// The guest external interrupt that VS-level has, and by it the guest's interrupt file;
        /// 0 is none.
        17:12 vgein;
        /// WFI in VS-mode traps.
        21:21 vtw;
    }
}

/// States of a register file, in `fs` and `vs` of [`Sstatus`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExtState {
    /// Access traps.
    Off = 0,
    /// The registers have their initial values.
    Initial = 1,
    /// The registers have the values in memory.
    Clean = 2,
    /// The registers have been written.
    Dirty = 3,
}

impl From<Bounded<u64, 2>> for ExtState {
    #[inline(always)]
    fn from(field: Bounded<u64, 2>) -> Self {
        match field.get() {
            0 => Self::Off,
            1 => Self::Initial,
            2 => Self::Clean,
            _ => Self::Dirty,
        }
    }
}

impl From<ExtState> for Bounded<u64, 2> {
    #[inline(always)]
    fn from(state: ExtState) -> Self {
        Self::from_expr(state as u64 & 3)
    }
}

bitfield! {
    /// `hgatp` ("Hypervisor Guest Address Translation and Protection Register").
    pub(crate) struct Hgatp(u64) {
        /// Host frame of the root of the G-stage page table.
        43:0 ppn;
        /// Virtual machine identifier.
        57:44 vmid;
        /// Translation scheme.
        63:60 mode;
    }
}

bitfield! {
    /// `hstateen0` ("State Enable Extension").
    pub(crate) struct Hstateen0(u64) {
        /// `stopei`, and by `siselect` the registers of an interrupt file, are accessible.
        58:58 imsic;
        /// All other state of the AIA is accessible.
        59:59 aia;
        /// `siselect` and `sireg` are accessible.
        60:60 csrind;
        /// `senvcfg` is accessible.
        62:62 senvcfg;
        /// `sstateen0` is accessible.
        63:63 se0;
    }
}

/// Interrupts of VS-level, as bits of `hvip`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum VsInterrupt {
    /// Software interrupt: an IPI.
    Software = 2,
    /// Timer interrupt.
    Timer = 6,
    /// External interrupt.
    External = 10,
    /// Local interrupt by the overflow of a counter (Sscofpmf).
    CounterOverflow = 13,
}

impl VsInterrupt {
    /// Those of the H extension, which `hideleg` delegates to the guest.
    pub(crate) const DELEGATED: u64 =
        Self::Software.bit() | Self::Timer.bit() | Self::External.bit();

    /// Those that are the guest's because `hvien` makes them so (AIA, "Virtual interrupts for
    /// VS-level"). The interrupt with this number in `mip` is the host's.
    pub(crate) const VIRTUAL: u64 = Self::CounterOverflow.bit();

    /// All of them.
    pub(crate) const ALL: u64 = Self::DELEGATED | Self::VIRTUAL;

    /// Returns the bit in `hvip`.
    #[inline(always)]
    pub(crate) const fn bit(self) -> u64 {
        1 << self as u32
    }
}

/// Returns the bits of `hvip` that correspond to those of `vsip` or `vsie`.
///
/// The guest sees each delegated interrupt as the supervisor interrupt one bit below ("Virtual
/// Supervisor Interrupt Registers"), and others at their own bits.
#[inline(always)]
pub(crate) const fn vsip_to_hvip(vsip: u64) -> u64 {
    (vsip << 1) & VsInterrupt::DELEGATED | vsip & VsInterrupt::VIRTUAL
}

/// The inverse of [`vsip_to_hvip`].
#[inline]
pub(crate) const fn hvip_to_vsip(hvip: u64) -> u64 {
    (hvip & VsInterrupt::DELEGATED) >> 1 | hvip & VsInterrupt::VIRTUAL
}
