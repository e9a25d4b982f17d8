// SPDX-License-Identifier: GPL-2.0

//! The registers of whom M-mode has interrupted.

#![deny(unsafe_code)]

use super::{csr, fields::sstatus};

/// The registers of whom M-mode has interrupted.
#[repr(C)]
pub struct Frame {
    /// `x0` to `x31`; the first is zero.
    pub x: [u64; 32],
    pub mepc: u64,
    pub mstatus: Mstatus,
    _align: [u64; 0],
}

/// `mstatus` as a trap left it and MRET will use it.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Mstatus(pub u64);

impl Mstatus {
    /// Fields that are alike in `mstatus` and `sstatus`.
    pub const FS_VS: u64 = 3 << 13 | 3 << 9;
    pub const MXR: u64 = 1 << 19;
    const MPP_SHIFT: u32 = 11;
    const GVA: u64 = 1 << 38;
    const MPV: u64 = 1 << 39;

    /// The privilege that was interrupted, and will be returned to.
    pub fn mpp(self) -> u64 {
        self.0 >> Self::MPP_SHIFT & 3
    }

    /// Whether V was 1.
    pub fn mpv(self) -> bool {
        self.0 & Self::MPV != 0
    }

    /// Whether the trap wrote a guest's virtual address to `mtval`.
    pub fn gva(self) -> bool {
        self.0 & Self::GVA != 0
    }

    /// What it takes to return to V=1 with this privilege: floating-point and vector registers
    /// belong to `fs_vs`, in place.
    pub fn to_virtual(privilege: u64, fs_vs: u64, mxr: u64) -> Self {
        Self(Self::MPV | (privilege & 3) << Self::MPP_SHIFT | fs_vs & Self::FS_VS | mxr & Self::MXR)
    }
}

/// The privileges.
pub const USER: u64 = 0;
pub const SUPERVISOR: u64 = 1;
pub const MACHINE: u64 = 3;

impl Frame {
    /// Where a hart starts or resumes: with these two arguments, and nothing else known.
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

    /// Writes a register, which `x0` does not take.
    pub fn set(&mut self, register: usize, value: u64) {
        if register != 0 {
            self.x[register] = value;
        }
    }

    /// If it was the firmware's own HS-mode that was interrupted: goes back to who that had
    /// interrupted.
    ///
    /// Interrupts of S-level are delegated to HS-mode, of which all that there is is an ECALL. They
    /// might come to M-mode at once; but QEMU shows V=1 those bits of `sie` and `sip` only that are
    /// delegated in `mideleg`.
    pub fn skip_hs_mode(&mut self) {
        if self.mstatus.mpv() {
            return;
        }
        let privilege = self.mstatus.0 >> sstatus::SPP_SHIFT & 1;
        self.mepc = csr::read(csr::SEPC);
        self.mstatus = Mstatus::to_virtual(privilege, self.mstatus.0, self.mstatus.0);
    }
}
