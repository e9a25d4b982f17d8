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
        HartIndex,
        Identity,
        MsiPort,
        OffsetError,
        Source, //
    },
    aia::aplic::{
        Deliveries,
        Level, //
    },
    vcpu::aia::{
        self,
        Imsic, //
    },
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
        Vcpu,
        Vm, //
    },
    prelude::*, //
};

/// A register of the interrupt controller in the guest's physical memory.
#[derive(Clone, Copy)]
pub(crate) enum Device<'a> {
    /// One of the APLIC.
    Aplic(&'a Aplic, AplicReg),
    /// The one at an offset in the page of an interrupt file.
    Imsic(InterruptFile<'a>, u64),
}

/// The length of all registers, in bytes.
pub(crate) const REG_LEN: usize = size_of::<u32>();

/// Returns what the guest accesses by an aligned load or store of [`REG_LEN`] bytes at `gpa`, if
/// that is for the interrupt controller.
#[inline(always)]
pub(crate) fn at(vm: &Vm<Riscv>, gpa: Gpa) -> Option<Device<'_>> {
    find(vm, vm.backend().irqchip()?, gpa)
}

#[inline(never)]
fn find<'a>(vm: &'a Vm<Riscv>, chip: &'a Irqchip, gpa: Gpa) -> Option<Device<'a>> {
    if let (Some(offset), Some(aplic)) = (chip.layout.aplic_offset(gpa.0), &chip.aplic) {
        let reg = AplicReg::decode(offset).ok()?;
        return Some(Device::Aplic(aplic, reg));
    }
    let place = chip.layout.locate(gpa.0)?;
    // The guest's hart has no interrupt files of its own guests.
    if place.guest != GuestIndex(0) {
        return None;
    }
    let file = InterruptFile::of(vm, chip, place.hart)?;
    Some(Device::Imsic(file, place.offset))
}

impl Device<'_> {
    /// Returns what a load reads.
    pub(crate) fn load(&self) -> u32 {
        match self {
            Self::Aplic(aplic, reg) => aplic.with(|domain, _| domain.read(*reg)),
            Self::Imsic(..) => 0,
        }
    }

    /// Returns whether a store may make more than one message due.
    pub(crate) fn may_send_many(&self) -> bool {
        match self {
            Self::Aplic(_, reg) => matches!(
                reg,
                AplicReg::DomainCfg | AplicReg::SetIp(_) | AplicReg::SetIe(_)
            ),
            Self::Imsic(..) => false,
        }
    }

    /// Carries out a store of the guest of `vm`.
    pub(crate) fn store(&self, vm: &Vm<Riscv>, data: u32) {
        match *self {
            Self::Aplic(aplic, reg) => {
                let Some(chip) = vm.backend().irqchip() else {
                    return;
                };
                change(vm, chip, aplic, |domain| Some(domain.write(reg, data)));
            }
            Self::Imsic(file, offset) => {
                let port = MsiPort::decode(offset);
                if let Some(identity) = port.and_then(|port| port.identity(data)) {
                    file.deliver(identity);
                }
            }
        }
    }
}

/// The interrupt file of a vCPU.
#[derive(Clone, Copy)]
pub(crate) struct InterruptFile<'a> {
    vcpu: &'a Vcpu<Riscv>,
    imsic: &'a Imsic,
}

impl<'a> InterruptFile<'a> {
    /// Returns the file of the vCPU with a hart index, if there is one.
    #[inline]
    fn of(vm: &'a Vm<Riscv>, chip: &Irqchip, hart: HartIndex) -> Option<Self> {
        let vcpu = vm.vcpu(chip.index_of(hart)?)?;
        let imsic = vcpu.shared().imsic.get()?;
        Some(Self { vcpu, imsic })
    }

    /// Delivers a message.
    #[inline]
    fn deliver(self, identity: Identity) {
        aia::deliver(self.vcpu, self.imsic, identity);
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
    // Returns whether there are more.
    let deliver = |domain: &mut Domain, due: &mut Deliveries| {
        let Some(batch) = domain.take(due) else {
            return false;
        };
        for msi in batch.iter().filter(|msi| msi.guest == GuestIndex(0)) {
            if let Some(file) = InterruptFile::of(vm, chip, msi.hart) {
                file.deliver(msi.identity);
            }
        }
        !due.is_empty()
    };
    let begun = aplic.with(|domain, _| {
        let mut due = f(domain)?;
        let has_more = deliver(domain, &mut due);
        Some((due, has_more))
    });
    let Some((mut due, mut has_more)) = begun else {
        return false;
    };
    // Between two batches, interrupts are let in.
    while has_more {
        has_more = aplic.with(|domain, _| deliver(domain, &mut due));
    }
    true
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
    let Some(file) = InterruptFile::of(vm, chip, place.hart) else {
        return Ok(false);
    };
    let port = MsiPort::decode(place.offset).ok_or(ENODEV)?;
    if data == 0 || place.guest != GuestIndex(0) {
        return Err(ENODEV);
    }
    let identity = port
        .identity(data)
        .filter(|identity| *identity <= chip.last)
        .ok_or(EINVAL)?;
    file.deliver(identity);
    Ok(true)
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
        if !aplic.with(|domain, _| domain.implements(reg)) {
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
        self.aplic.with(|domain, _| domain.read(self.reg))
    }

    /// Writes the register, with all that follows from a write of the guest. May sleep.
    pub(crate) fn write(&self, value: u32) {
        change(self.vm, self.chip, self.aplic, |domain| {
            Some(domain.write(self.reg, value))
        });
    }
}
