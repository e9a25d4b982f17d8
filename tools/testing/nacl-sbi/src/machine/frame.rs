// SPDX-License-Identifier: GPL-2.0

//! The registers of the code that M-mode has interrupted, and that MRET returns to.

#![deny(unsafe_code)]

use super::{csr, fields::sstatus};

/// The registers of the code that M-mode has interrupted. The assembly in entry.rs knows this
/// layout.
#[repr(C)]
pub struct Frame {
    /// `x0` to `x31`; `x0` is always zero.
    pub x: [u64; 32],
    pub mepc: u64,
    pub mstatus: Mstatus,
    _align: [u64; 0],
}

/// `mstatus` as a trap has left it, and as MRET will use it.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Mstatus(pub u64);

impl Mstatus {
    /// The FS and VS fields, which are at the same place in `mstatus` and `sstatus`.
    pub const FS_VS: u64 = 3 << 13 | 3 << 9;
    pub const MXR: u64 = 1 << 19;
    const MPP_SHIFT: u32 = 11;
    const GVA: u64 = 1 << 38;
    const MPV: u64 = 1 << 39;

    /// Returns the privilege level that was interrupted, which MRET returns to.
    pub fn mpp(self) -> u64 {
        self.0 >> Self::MPP_SHIFT & 3
    }

    /// Returns whether the interrupted code ran with V=1.
    pub fn mpv(self) -> bool {
        self.0 & Self::MPV != 0
    }

    /// Returns whether the trap wrote a guest virtual address to `mtval`.
    pub fn gva(self) -> bool {
        self.0 & Self::GVA != 0
    }

    /// Returns the value with which MRET returns to V=1 at this privilege level, with FS and VS of
    /// `fs_vs` and MXR of `mxr`.
    pub fn to_virtual(privilege: u64, fs_vs: u64, mxr: u64) -> Self {
        Self(Self::MPV | (privilege & 3) << Self::MPP_SHIFT | fs_vs & Self::FS_VS | mxr & Self::MXR)
    }
}

/// Privilege levels, as MPP encodes them.
pub const USER: u64 = 0;
pub const SUPERVISOR: u64 = 1;
pub const MACHINE: u64 = 3;

impl Frame {
    /// Returns the registers of a hart that starts or resumes at `pc` with these two arguments.
    pub fn starting(pc: u64, a0: u64, a1: u64) -> Self {
        let mut frame = Self {
            x: [0; 32],
            mepc: pc,
            mstatus: Mstatus::to_virtual(SUPERVISOR, Mstatus::FS_VS, 0),
            _align: [],
        };
        frame.x[10] = a0;
        frame.x[11] = a1;
        frame
    }

    /// Writes a general-purpose register; a write to `x0` has no effect.
    pub fn set(&mut self, register: usize, value: u64) {
        if register != 0 {
            self.x[register] = value;
        }
    }

    /// If the trap interrupted the firmware's own code in HS-mode: changes the frame to that of the
    /// code which HS-mode had interrupted.
    ///
    /// Interrupts of S-level are delegated to HS-mode, whose only code is one ECALL. Delivering
    /// them to M-mode directly does not work: while V is 1, QEMU shows only those bits of `sie` and
    /// `sip` that `mideleg` delegates.
    pub fn skip_hs_mode(&mut self) {
        if self.mstatus.mpv() {
            return;
        }
        let privilege = self.mstatus.0 >> sstatus::SPP_SHIFT & 1;
        self.mepc = csr::read(csr::SEPC);
        self.mstatus = Mstatus::to_virtual(privilege, self.mstatus.0, self.mstatus.0);
    }
}
