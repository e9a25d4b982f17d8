// SPDX-License-Identifier: GPL-2.0

//! What is kept of each hart.

use crate::{
    machine::{
        csr::{self, h_index, H_COUNT},
        MAX_HARTS,
    },
    shmem::Shmem,
};
use core::cell::UnsafeCell;

/// Who runs in V=1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum World {
    /// The kernel that believes to be in HS-mode, and its user space.
    Host,
    /// A guest of that kernel.
    Guest,
}

/// The CSRs that belong to whoever runs in V=1. The hart has those of one world; those of the other
/// are kept here.
pub const VS: [u16; 9] = [
    csr::VSSTATUS,
    csr::VSTVEC,
    csr::VSSCRATCH,
    csr::VSEPC,
    csr::VSCAUSE,
    csr::VSTVAL,
    csr::VSATP,
    csr::VSTIMECMP,
    csr::VSISELECT,
];

/// The H CSRs that say how it runs, in the order in which they depend on each other. The hart has
/// the host's idea of them while the guest runs, and the firmware's own ones else.
pub const H: [u16; 15] = [
    csr::HSTATUS,
    csr::HEDELEG,
    csr::HIDELEG,
    csr::HTIMEDELTA,
    csr::HCOUNTEREN,
    csr::HENVCFG,
    csr::HSTATEEN0,
    csr::HSTATEEN1,
    csr::HSTATEEN2,
    csr::HSTATEEN3,
    csr::HVIEN,
    csr::HVICTL,
    csr::HVIPRIO1,
    csr::HVIPRIO2,
    csr::HGATP,
];

/// One hart.
pub struct Hart {
    pub id: usize,
    pub world: World,
    /// The H CSRs as the host sees them, by their index in the CSR space of NACL. Those of [`VS`]
    /// are here while the host runs.
    pub virt: [u64; H_COUNT],
    /// Those of [`VS`] that are the host's, while the guest runs.
    pub host_vs: [u64; VS.len()],
    /// The host's `sie` and its pending interrupts, in the places of `sie` and of `hvip`, while the
    /// guest runs.
    pub host_sie: u64,
    pub host_hvip: u64,
    pub shmem: Option<Shmem>,
    /// `hstatus` is what a trap of the guest has made of it: the host has not written it since.
    pub has_left_guest: bool,
}

impl Hart {
    /// Returns an H CSR as the host sees it, if it is nobody's alias.
    pub fn virt(&mut self, csr: u16) -> &mut u64 {
        &mut self.virt[h_index(csr)]
    }

    /// Returns where a CSR of the host is kept while its guest runs.
    pub fn host_vs(&mut self, csr: u16) -> &mut u64 {
        match VS.iter().position(|&vs| vs == csr) {
            Some(i) => &mut self.host_vs[i],
            None => panic!("{csr:#x} is not a VS CSR"),
        }
    }

    /// Forgets all that the host has made of the hart.
    pub fn reset(&mut self) {
        self.world = World::Host;
        self.virt = [0; H_COUNT];
        self.shmem = None;
        self.has_left_guest = false;
        // VSXL: 64 bits.
        *self.virt(csr::HSTATUS) = 2 << 32;
        *self.virt(csr::VSSTATUS) = 2 << 32;
        *self.virt(csr::VSTIMECMP) = u64::MAX;
    }
}

struct Harts([UnsafeCell<Hart>; MAX_HARTS]);

// SAFETY: Each is used by its own hart.
unsafe impl Sync for Harts {}

static HARTS: Harts = Harts(
    [const {
        UnsafeCell::new(Hart {
            id: 0,
            world: World::Host,
            virt: [0; H_COUNT],
            host_vs: [0; VS.len()],
            host_sie: 0,
            host_hvip: 0,
            shmem: None,
            has_left_guest: false,
        })
    }; MAX_HARTS],
);

/// Returns the hart that runs this.
///
/// # Safety
///
/// To be called once in each stay in M-mode, and the result not to be kept longer.
pub unsafe fn this() -> &'static mut Hart {
    let id = csr::hart_id();
    // SAFETY: By the requirement there is no other reference.
    let hart = unsafe { &mut *HARTS.0[id].get() };
    hart.id = id;
    hart
}
