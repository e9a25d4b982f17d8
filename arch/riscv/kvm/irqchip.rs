// SPDX-License-Identifier: GPL-2.0

//! The interrupt controller of a VM in the kernel: an APLIC, whose wires user space sets, and an
//! IMSIC for each vCPU, which takes the messages of the APLIC, of devices and of other vCPUs.
//!
//! Everything here but the configuration can be called in any context.
//!
//! The lock of the APLIC is held while its messages are delivered, so that none overtakes another,
//! and the lock of an interrupt file is taken under it. At most [`Batch::MAX`] messages are
//! delivered at a time.

use crate::{
    abi::aia::{
        AplicReg,
        GuestIndex,
        Msi,
        MsiPort,
        OffsetError,
        Source, //
    },
    aia::{
        aplic::{
            Deliveries,
            Level, //
        },
        layout::Place, //
    },
    vcpu::aia,
    vm::{
        Aplic,
        Domain,
        Irqchip, //
    },
    Riscv, //
};
use kernel::{
    bindings,
    kvm::{
        Gpa,
        Vm, //
    },
    prelude::*, //
};

/// A register of the interrupt controller in the guest's physical memory.
#[derive(Clone, Copy)]
pub(crate) enum Device<'a> {
    /// One of the APLIC.
    Aplic(&'a Aplic, AplicReg),
    /// One in the page of an interrupt file.
    Imsic(Place),
}

/// Returns what the guest accesses by an aligned load or store of `len` bytes at `gpa`, if that is
/// for the interrupt controller. Its registers have 32 bits.
pub(crate) fn at(vm: &Vm<Riscv>, gpa: Gpa, len: usize) -> Option<Device<'_>> {
    let chip = vm.backend().irqchip()?;
    if len != size_of::<u32>() {
        return None;
    }
    if let (Some(offset), Some(aplic)) = (chip.layout.aplic_offset(gpa.0), &chip.aplic) {
        let reg = AplicReg::decode(offset).ok()?;
        return Some(Device::Aplic(aplic, reg));
    }
    let place = chip.layout.locate(gpa.0)?;
    // The guest's hart has no interrupt files of its own guests.
    (place.guest == GuestIndex(0) && chip.index_of(place.hart).is_some())
        .then_some(Device::Imsic(place))
}

impl Device<'_> {
    /// Returns what a load reads.
    pub(crate) fn load(&self) -> u32 {
        match self {
            Self::Aplic(aplic, reg) => aplic.lock_irqsave().read(*reg),
            Self::Imsic(_) => 0,
        }
    }

    /// Returns whether a store may make more than one message due.
    pub(crate) fn may_send_many(&self) -> bool {
        match self {
            Self::Aplic(_, reg) => matches!(
                reg,
                AplicReg::DomainCfg | AplicReg::SetIp(_) | AplicReg::SetIe(_)
            ),
            Self::Imsic(_) => false,
        }
    }

    /// Carries out a store of the guest of `vm`.
    pub(crate) fn store(&self, vm: &Vm<Riscv>, data: u32) {
        let Some(chip) = vm.backend().irqchip() else {
            return;
        };
        match *self {
            Self::Aplic(aplic, reg) => {
                change(vm, chip, aplic, |domain| Some(domain.write(reg, data)));
            }
            Self::Imsic(place) => {
                send_to(vm, chip, place, data);
            }
        }
    }
}

/// Changes the domain of an APLIC, and delivers the messages that are due then. Returns whether `f`
/// has returned anything.
fn change(
    vm: &Vm<Riscv>,
    chip: &Irqchip,
    aplic: &Aplic,
    f: impl FnOnce(&mut Domain) -> Option<Deliveries>,
) -> bool {
    let mut domain = aplic.lock_irqsave();
    let Some(mut due) = f(&mut domain) else {
        return false;
    };
    while let Some(batch) = domain.take(&mut due) {
        for msi in batch.iter() {
            deliver(vm, chip, msi);
        }
        if due.is_empty() {
            break;
        }
        // Let interrupts in.
        drop(domain);
        domain = aplic.lock_irqsave();
    }
    true
}

/// Delivers a message. Returns whether there is such an interrupt file.
fn deliver(vm: &Vm<Riscv>, chip: &Irqchip, msi: Msi) -> bool {
    if msi.guest != GuestIndex(0) {
        return false;
    }
    let vcpu = chip.index_of(msi.hart).and_then(|index| vm.vcpu(index));
    let Some(vcpu) = vcpu else {
        return false;
    };
    let Some(imsic) = vcpu.shared().imsic.as_ref() else {
        return false;
    };
    aia::deliver(vcpu, imsic, msi.identity);
    true
}

/// Carries out a store of a message. Returns whether it has got to an interrupt file.
fn send_to(vm: &Vm<Riscv>, chip: &Irqchip, place: Place, data: u32) -> bool {
    let port = MsiPort::decode(place.offset);
    let Some(identity) = port.and_then(|port| port.identity(data)) else {
        return false;
    };
    deliver(
        vm,
        chip,
        Msi {
            hart: place.hart,
            guest: place.guest,
            identity,
        },
    )
}

/// Delivers a message that a device stores. Returns whether there is an interrupt file for it.
///
/// # Errors
///
/// [`EBUSY`] if user space has not initialized the interrupt controller. [`ENODEV`] if the address
/// is not where the file takes messages, or the data are 0. [`EINVAL`] if the file has no such
/// interrupt.
pub(crate) fn send_msi(vm: &Vm<Riscv>, address: u64, data: u32) -> Result<bool> {
    let chip = vm.backend().irqchip().ok_or(EBUSY)?;
    let Some(place) = chip.layout.locate(address) else {
        return Ok(false);
    };
    if chip.index_of(place.hart).is_none() {
        return Ok(false);
    }
    let port = MsiPort::decode(place.offset).ok_or(ENODEV)?;
    if data == 0 || place.guest != GuestIndex(0) {
        return Err(ENODEV);
    }
    let identity = port
        .identity(data)
        .filter(|identity| *identity <= chip.last);
    identity.ok_or(EINVAL)?;
    Ok(send_to(vm, chip, place, data))
}

/// Sets the level of a wire of the APLIC.
///
/// # Errors
///
/// [`EBUSY`] if user space has not initialized the interrupt controller, [`ENODEV`] if there is no
/// such wire.
pub(crate) fn set_line(vm: &Vm<Riscv>, pin: u32, level: Level) -> Result {
    let chip = vm.backend().irqchip().ok_or(EBUSY)?;
    let (Some(aplic), Some(source)) = (&chip.aplic, Source::new(pin)) else {
        return Err(ENODEV);
    };
    change(vm, chip, aplic, |domain| domain.set_input(source, level))
        .then_some(())
        .ok_or(ENODEV)
}

/// A register of the APLIC, for user space to save and restore.
pub(crate) struct AplicAttr<'a> {
    vm: &'a Vm<Riscv>,
    chip: &'a Irqchip,
    aplic: &'a Aplic,
    reg: AplicReg,
}

impl<'a> AplicAttr<'a> {
    /// Returns the register at an offset.
    ///
    /// # Errors
    ///
    /// [`ENODEV`] if the VM has no APLIC, or the APLIC has no such register. `EOPNOTSUPP` if the
    /// offset is not a multiple of four.
    pub(crate) fn at(vm: &'a Vm<Riscv>, offset: u64) -> Result<Self> {
        let chip = vm.backend().irqchip().ok_or(ENODEV)?;
        let aplic = chip.aplic.as_ref().ok_or(ENODEV)?;
        let reg = AplicReg::decode(offset).map_err(|e| match e {
            // Linux 7.2 has no name for it in Rust.
            OffsetError::Misaligned => Error::from_errno(-(bindings::EOPNOTSUPP as c_int)),
            OffsetError::Outside => ENODEV,
        })?;
        if !aplic.lock_irqsave().implements(reg) {
            return Err(ENODEV);
        }
        Ok(Self {
            vm,
            chip,
            aplic,
            reg,
        })
    }

    /// Reads the register.
    pub(crate) fn read(&self) -> u32 {
        self.aplic.lock_irqsave().read(self.reg)
    }

    /// Writes the register, with all that follows from a write of the guest. May sleep.
    pub(crate) fn write(&self, value: u32) {
        change(self.vm, self.chip, self.aplic, |domain| {
            Some(domain.write(self.reg, value))
        });
    }
}
