// SPDX-License-Identifier: GPL-2.0

//! Interrupts of the guest.
//!
//! While a vCPU is loaded, `hvip` of its hart says which interrupts are pending: the guest itself
//! clears the bit for software interrupts there. Any thread may change the level of an interrupt.
//! The change waits in one atomic word until the vCPU is about to enter the guest, and then
//! overrides what the guest has done meanwhile.

use crate::{
    abi::aia::{
        hvictl,
        Identity, //
    },
    hart::{
        csr::{
            self,
            vsip_to_hvip,
            VsInterrupt, //
        },
        features,
        guest_csr::{
            self,
            GuestCsrAccess, //
        },
    },
    trace,
    Riscv, //
};
use kernel::{
    access_once::AccessOnce,
    kvm::{
        LoadedVcpu,
        Vcpu, //
    },
    sync::atomic::{
        ordering::{
            Acquire,
            Full,
            Relaxed, //
        },
        Atomic, //
    },
};

/// Changes of levels. The upper half says which interrupts change, the lower half to which level.
/// Both are bits of `hvip`.
#[derive(Clone, Copy)]
struct Changes(u64);

impl Changes {
    const NONE: Self = Self(0);
    /// All interrupts change to low.
    const ALL_LOW: Self = Self(VsInterrupt::ALL << 32);

    #[inline(always)]
    const fn changed(self) -> u64 {
        self.0 >> 32
    }

    #[inline(always)]
    const fn levels(self) -> u64 {
        self.0 & 0xffff_ffff
    }

    #[inline]
    const fn with(self, irq: VsInterrupt, level: bool) -> Self {
        let levels = self.levels() & !irq.bit() | if level { irq.bit() } else { 0 };
        Self((self.changed() | irq.bit()) << 32 | levels)
    }

    #[inline(always)]
    const fn apply(self, hvip: u64) -> u64 {
        hvip & !self.changed() | self.levels() & self.changed()
    }
}

/// The interrupts of a vCPU.
pub(crate) struct Interrupts {
    changes: Atomic<u64>,
    /// The value of `hvip` at the last [`snapshot`](Self::snapshot).
    hvip: Atomic<u64>,
    /// The value of `vsie` at the last snapshot.
    vsie: Atomic<u64>,
    /// The interrupt of the vCPU's interrupt file that the external interrupt stands for, or 0.
    external: Atomic<u32>,
    /// The value of `hvictl` on the hart that the vCPU is loaded on.
    hvictl: Atomic<u64>,
}

impl Interrupts {
    /// Returns the state of a vCPU without interrupts.
    pub(crate) fn new() -> Self {
        Self {
            changes: Atomic::new(Changes::NONE.0),
            hvip: Atomic::new(0),
            vsie: Atomic::new(0),
            external: Atomic::new(0),
            hvictl: Atomic::new(0),
        }
    }

    /// Lowers all interrupts. One that is raised afterwards stays, whenever the vCPU applies the
    /// changes.
    pub(crate) fn lower_all(&self) {
        self.changes.store(Changes::ALL_LOW.0, Relaxed);
    }

    /// Drops the changes that wait, because user space sets all levels.
    pub(crate) fn forget_changes(&self) {
        self.changes.store(Changes::NONE.0, Relaxed);
    }

    fn change(&self, irq: VsInterrupt, level: bool) {
        let mut old = self.changes.read_once();
        loop {
            // Full: what the interrupt announces is visible before the interrupt.
            match self
                .changes
                .cmpxchg(old, Changes(old).with(irq, level).0, Full)
            {
                Ok(_) => break,
                Err(now) => old = now,
            }
        }
    }

    /// Removes the changes that wait, and returns `hvip`, a copy of the register, with them
    /// applied.
    #[inline]
    pub(crate) fn apply_changes(&self, hvip: u64) -> u64 {
        if self.changes.read_once() == Changes::NONE.0 {
            return hvip;
        }
        Changes(self.changes.xchg(Changes::NONE.0, Full)).apply(hvip)
    }

    /// Applies the changes that wait to this hart's `hvip`.
    #[inline]
    pub(crate) fn flush(&self, hart: &impl GuestCsrAccess) {
        if self.changes.read_once() == Changes::NONE.0 {
            return;
        }
        let old = guest_csr::read::<{ csr::HVIP }>(hart);
        let new = self.apply_changes(old);
        if new != old {
            guest_csr::write::<{ csr::HVIP }>(hart, new);
        }
        if features::ssaia() && self.hvictl.read_once() != self.hvictl_for(new) {
            self.load_hvictl(hart, new);
        }
    }

    /// Returns the value for `hvictl` that goes with a value of `hvip`.
    ///
    /// VTI is clear, so that `vstopi` follows `vsip` and `vsie`. IID and IPRIO give the external
    /// interrupt its priority: that of the interrupt that it stands for in a file in memory, as a
    /// file of the hart would have it, and else the lowest one, as if there were none here (AIA,
    /// "Virtual supervisor top interrupt CSR"). QEMU shows a pending external interrupt in `vstopi`
    /// only if it has a priority here, and one with a priority even if it is not pending.
    fn hvictl_for(&self, hvip: u64) -> u64 {
        if hvip & VsInterrupt::External.bit() == 0 {
            return 0;
        }
        hvictl::external(Identity::new(self.external.read_once()))
    }

    /// Writes the `hvictl` of this hart that goes with `hvip`.
    pub(super) fn load_hvictl(&self, hart: &impl GuestCsrAccess, hvip: u64) {
        let hvictl = self.hvictl_for(hvip);
        guest_csr::write::<{ csr::HVICTL }>(hart, hvictl);
        self.hvictl.write_once(hvictl);
    }

    /// Copies `hvip` and `vsie` to where [`pending`](Self::pending) finds them, which other threads
    /// call, and this thread while it sleeps.
    #[inline]
    pub(crate) fn snapshot(&self, hvip: u64, vsie: u64) {
        self.hvip.write_once(hvip);
        self.vsie.write_once(vsie);
    }

    /// Returns whether the guest has an interrupt that it has enabled, so that WFI ends.
    #[inline]
    pub(crate) fn pending(&self) -> bool {
        // Acquire: pairs with `change()`.
        let hvip = Changes(self.changes.load(Acquire)).apply(self.hvip.read_once());
        hvip & vsip_to_hvip(self.vsie.read_once()) != 0
    }

    /// Returns the same as [`pending`](Self::pending) for the vCPU that is loaded on this hart.
    #[inline(always)]
    pub(crate) fn pending_loaded(&self, hart: &impl GuestCsrAccess) -> bool {
        let hvip = Changes(self.changes.read_once()).apply(guest_csr::read::<{ csr::HVIP }>(hart));
        hvip & vsip_to_hvip(guest_csr::read::<{ csr::VSIE }>(hart)) != 0
    }

    /// Returns the interrupt of the interrupt file in memory that the external interrupt stands
    /// for.
    pub(super) fn external(&self) -> Option<Identity> {
        Identity::new(self.external.read_once())
    }

    /// Returns whether the guest has enabled `irq`.
    #[inline]
    pub(crate) fn enabled(&self, irq: VsInterrupt) -> bool {
        vsip_to_hvip(self.vsie.read_once()) & irq.bit() != 0
    }
}

/// Raises an interrupt of the vCPU that is loaded on this hart, and that this hart is about to
/// enter.
#[inline(always)]
pub(crate) fn raise_loaded(hart: &impl GuestCsrAccess, irq: VsInterrupt) {
    let hvip = guest_csr::read::<{ csr::HVIP }>(hart);
    guest_csr::write::<{ csr::HVIP }>(hart, hvip | irq.bit());
}

/// Raises or lowers an interrupt of `vcpu`, and kicks the vCPU if it is raised.
pub(crate) fn set(vcpu: &Vcpu<Riscv>, irq: VsInterrupt, level: bool) {
    vcpu.shared().interrupts.change(irq, level);
    trace::vcpu_irq(vcpu, irq as u32, level);
    if level {
        vcpu.kick();
    }
}

/// Raises or lowers the external interrupt of `vcpu`, which stands for `top` of an interrupt file
/// in memory. If it is raised, the caller kicks the vCPU.
pub(super) fn set_external(vcpu: &Vcpu<Riscv>, top: Option<Identity>) {
    let interrupts = &vcpu.shared().interrupts;
    let (irq, level) = (VsInterrupt::External, top.is_some());
    let identity = top.map_or(0, Identity::number);
    interrupts.external.write_once(identity);
    interrupts.change(irq, level);
    trace::vcpu_irq(vcpu, irq as u32, level);
}

/// Lowers an interrupt of a loaded vCPU. Returns whether it was pending. An interrupt that another
/// thread raises at the same time stays.
pub(crate) fn clear(vcpu: &LoadedVcpu<'_, Riscv>, irq: VsInterrupt) -> bool {
    vcpu.shared().interrupts.flush(vcpu);
    let hvip = guest_csr::read::<{ csr::HVIP }>(vcpu);
    guest_csr::write::<{ csr::HVIP }>(vcpu, hvip & !irq.bit());
    hvip & irq.bit() != 0
}

/// Takes the snapshot that [`Interrupts::pending`] needs, for a vCPU that sleeps while it is
/// loaded.
pub(crate) fn snapshot_loaded(vcpu: &LoadedVcpu<'_, Riscv>) {
    let interrupts = &vcpu.shared().interrupts;
    interrupts.flush(vcpu);
    interrupts.snapshot(
        guest_csr::read::<{ csr::HVIP }>(vcpu),
        guest_csr::read::<{ csr::VSIE }>(vcpu),
    );
}
