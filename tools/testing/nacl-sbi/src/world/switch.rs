// SPDX-License-Identifier: GPL-2.0

//! The world switch: the CSRs of the host and of its guest change places.

use crate::{
    hart::{Hart, World, H, VS},
    host::config,
    machine::{
        csr, fence,
        fields::vmid,
        irq::{SEIP, STIP, VS_INTERRUPTS},
        platform::{self, present},
    },
    testing::fence_log,
};

/// Puts the guest's CSRs on the hart, and keeps the host's.
pub fn enter_guest(hart: &mut Hart) {
    hart.host_sie = csr::read(csr::VSIE);
    hart.host_hvip = csr::read(csr::HVIP);
    for (_, csr) in present(&H) {
        csr::write(csr, *hart.virt(csr));
    }
    for (i, csr) in present(&VS) {
        hart.host_vs[i] = csr::read(csr);
        csr::write(csr, *hart.virt(csr));
    }
    csr::write(csr::MEDELEG, *hart.virt(csr::HEDELEG));
    let delegated = *hart.virt(csr::HIDELEG) & VS_INTERRUPTS;
    csr::write(csr::HVIP, *hart.virt(csr::HVIP));
    // An interrupt that is not delegated would be taken in HS-mode, where no code handles it.
    csr::clear_mie(VS_INTERRUPTS);
    csr::set_mie(*hart.virt(csr::HIE) & delegated);
    forget_shared_vmid(hart);
    fence_log::note_entry(vmid(*hart.virt(csr::HGATP)));
    hart.world = World::Guest;

    csr::clear_mie(SEIP | STIP);
    csr::set_mie(hart.host_sie & (SEIP | STIP));
    if platform::has_csr(csr::STIMECMP) {
        csr::write(csr::STIMECMP, *hart.host_vs(csr::VSTIMECMP));
    }
}

/// Keeps the guest's CSRs, and puts the host's back on the hart.
pub fn load_host(hart: &mut Hart) {
    let delegated = *hart.virt(csr::HIDELEG) & VS_INTERRUPTS;
    let hie = *hart.virt(csr::HIE) & !delegated | csr::read(csr::MIE) & delegated;
    *hart.virt(csr::HIE) = hie;
    *hart.virt(csr::HVIP) = csr::read(csr::HVIP) & VS_INTERRUPTS;
    for (i, csr) in present(&VS) {
        *hart.virt(csr) = csr::read(csr);
        csr::write(csr, hart.host_vs[i]);
    }
    for (_, csr) in present(&H) {
        csr::write(csr, config::own(csr));
    }
    csr::write(csr::VSIE, hart.host_sie);
    csr::write(csr::HVIP, hart.host_hvip);
    csr::clear_mie(STIP);
    if platform::has_csr(csr::STIMECMP) {
        csr::write(csr::STIMECMP, u64::MAX);
    }
    forget_shared_vmid(hart);
    hart.world = World::Host;
}

/// Drops all translations if the guest has VMID 0, as the host has: neither may use the other's.
fn forget_shared_vmid(hart: &mut Hart) {
    if vmid(*hart.virt(csr::HGATP)) == 0 {
        fence::everything();
    }
}
