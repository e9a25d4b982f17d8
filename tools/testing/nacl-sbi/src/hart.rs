// SPDX-License-Identifier: GPL-2.0

//! The state of each hart.

use crate::{
    machine::{
        csr::{self, h_index, H_COUNT},
        MAX_HARTS,
    },
    shmem::Shmem,
};
use core::cell::UnsafeCell;

/// The code that runs in V=1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum World {
    /// The kernel that takes VS-mode for HS-mode, and its user space.
    Host,
    /// A guest of that kernel.
    Guest,
}

/// The CSRs of the world that runs in V=1. The hart holds those of the world that runs; [`Hart`]
/// keeps those of the other.
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

/// The H CSRs that control the world in V=1, in an order in which none depends on a later one.
/// While a guest runs, the hart holds the host's values; while the host runs, values of the
/// firmware.
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

/// The state of one hart.
pub struct Hart {
    pub id: usize,
    pub world: World,
    /// The H CSRs as the host sees them, by their places in the CSR space of NACL. While the host
    /// runs, this includes the guest's values of [`VS`].
    pub virt: [u64; H_COUNT],
    /// While the guest runs, the host's values of [`VS`].
    pub host_vs: [u64; VS.len()],
    /// While the guest runs: the host's `sie` (as in `sie`) and its pending interrupts (as in
    /// `hvip`).
    pub host_sie: u64,
    pub host_hvip: u64,
    /// The shared memory of NACL, if the host has set it.
    pub shmem: Option<Shmem>,
    /// Whether `hstatus` is as a trap of the guest has left it: the host has not written it since.
    pub has_left_guest: bool,
}

impl Hart {
    /// Returns the stored value of an H CSR as the host sees it. CSRs that are aliases of others
    /// have none: `virtual_csr` computes those.
    pub fn virt(&mut self, csr: u16) -> &mut u64 {
        &mut self.virt[h_index(csr)]
    }

    /// Returns the host's value of a VS CSR, which is stored while the guest runs.
    pub fn host_vs(&mut self, csr: u16) -> &mut u64 {
        match VS.iter().position(|&vs| vs == csr) {
            Some(i) => &mut self.host_vs[i],
            None => panic!("{csr:#x} is not a VS CSR"),
        }
    }

    /// Resets all that the host can have changed.
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

// SAFETY: Each element is used by its own hart alone.
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
/// Must be called at most once in each stay in M-mode, and the result must not outlive that stay.
pub unsafe fn this() -> &'static mut Hart {
    let id = csr::hart_id();
    // SAFETY: By the requirement there is no other reference.
    let hart = unsafe { &mut *HARTS.0[id].get() };
    hart.id = id;
    hart
}
