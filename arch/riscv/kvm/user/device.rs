// SPDX-License-Identifier: GPL-2.0

//! The device by which user space sets up, saves and restores the interrupt controller of a VM:
//! `KVM_DEV_TYPE_RISCV_AIA`.

use crate::{
    abi::{
        aia::{
            Attr,
            ImsicReg,
            IndirectReg,
            SelectError,
            Target,
            ADDR_UNDEFINED, //
        },
        one_reg::IsaExtId, //
    },
    aia::{
        aplic,
        layout::{
            self,
            Config, //
        }, //
    },
    irqchip::AplicAttr,
    vcpu::{
        aia::{
            self,
            Imsic, //
        },
        isa, //
    },
    vm::{
        Aplic,
        Irqchip, //
    },
    Riscv, //
};
use kernel::{
    bindings,
    kvm::{
        DeviceAttr,
        DeviceOps,
        Gpa,
        Vcpu,
        VcpuId,
        Vm,
        VmLock, //
    },
    prelude::*,
    raw_spinlock::new_raw_spinlock,
    sync::atomic::ordering::Relaxed,
    transmute::{
        AsBytes,
        FromBytes, //
    },
    uaccess::{
        UserPtr,
        UserSlice, //
    },
};

/// The type of the device.
pub(crate) struct Aia;

impl DeviceOps<Riscv> for Aia {
    const NAME: &'static CStr = c"kvm-riscv-aia";
    const TYPE: u32 = bindings::kvm_device_type_KVM_DEV_TYPE_RISCV_AIA;

    /// Creates the interrupt controller, without anything in it.
    ///
    /// # Errors
    ///
    /// [`EEXIST`] if there is one, [`ENODEV`] if the host has no AIA, [`EBUSY`] if a vCPU runs, or
    /// has run.
    fn create(vm: &VmLock<'_, Riscv>) -> Result {
        let state = vm.backend();
        if state.has_irqchip.load(Relaxed) {
            return Err(EEXIST);
        }
        if !isa::is_known(IsaExtId::Ssaia) {
            return Err(ENODEV);
        }
        let vcpus = vm.try_lock_all_vcpus().ok_or(EBUSY)?;
        if vcpus.iter().any(|vcpu| vcpu.local().has_run.get()) {
            return Err(EBUSY);
        }
        state.has_irqchip.store(true, Relaxed);
        Ok(())
    }

    fn set_attr(vm: &Vm<Riscv>, attr: DeviceAttr) -> Result {
        match decode(attr)? {
            Attr::Config(config) => {
                let value = get_user::<u32>(attr.data)?;
                configure(&vm.lock(), |to| to.set(config, value))
            }
            Attr::AplicAddr => {
                let addr = get_user::<u64>(attr.data)?;
                configure(&vm.lock(), |to| to.set_aplic_addr(addr))
            }
            Attr::ImsicAddr(index) => {
                let addr = get_user::<u64>(attr.data)?;
                let vm = vm.lock();
                let vcpu = vcpu_at(&vm, index)?;
                require_uninitialized(&vm)?;
                Config::check_imsic_addr(addr).map_err(|_| EINVAL)?;
                vcpu.shared().imsic_addr.store(addr, Relaxed);
                Ok(())
            }
            Attr::Init => init(&vm.lock()),
            Attr::Aplic { offset } => {
                let value = get_user::<u32>(attr.data)?;
                AplicAttr::at(vm, offset)?.write(value);
                Ok(())
            }
            Attr::Imsic { vcpu_id, siselect } => {
                let value = get_user::<u64>(attr.data)?;
                let (vcpu, imsic, reg) = imsic_reg(vm, vcpu_id, siselect)?;
                aia::write(vcpu, imsic, reg, value);
                Ok(())
            }
        }
    }

    fn get_attr(vm: &Vm<Riscv>, attr: DeviceAttr) -> Result {
        let decoded = decode(attr)?;
        // A value that cannot be read cannot be written, either.
        match decoded {
            Attr::Config(_) | Attr::Aplic { .. } => {
                get_user::<u32>(attr.data)?;
            }
            Attr::AplicAddr | Attr::ImsicAddr(_) | Attr::Imsic { .. } => {
                get_user::<u64>(attr.data)?;
            }
            Attr::Init => {}
        }
        match decoded {
            Attr::Config(config) => {
                let value = vm.backend().irqchip_config.lock().get(config);
                put_user(attr.data, value)
            }
            Attr::AplicAddr => {
                let addr = vm.backend().irqchip_config.lock().aplic_addr();
                put_user(attr.data, addr.unwrap_or(ADDR_UNDEFINED))
            }
            Attr::ImsicAddr(index) => {
                let vcpu = vcpu_at(vm, index)?;
                put_user(attr.data, vcpu.shared().imsic_addr.load(Relaxed))
            }
            Attr::Init => Err(ENXIO),
            Attr::Aplic { offset } => put_user(attr.data, AplicAttr::at(vm, offset)?.read()),
            Attr::Imsic { vcpu_id, siselect } => {
                let (_, imsic, reg) = imsic_reg(vm, vcpu_id, siselect)?;
                put_user(attr.data, imsic.read(reg))
            }
        }
    }

    fn has_attr(vm: &Vm<Riscv>, attr: DeviceAttr) -> Result {
        match decode(attr)? {
            Attr::Config(_) | Attr::AplicAddr | Attr::Init => {}
            Attr::ImsicAddr(index) => {
                vcpu_at(vm, index)?;
            }
            Attr::Aplic { offset } => {
                AplicAttr::at(vm, offset)?;
            }
            Attr::Imsic { vcpu_id, siselect } => {
                imsic_reg(vm, vcpu_id, siselect)?;
            }
        }
        Ok(())
    }
}

fn decode(attr: DeviceAttr) -> Result<Attr> {
    Attr::decode(attr.group, attr.attr).ok_or(ENXIO)
}

fn get_user<T: FromBytes>(from: UserPtr) -> Result<T> {
    UserSlice::new(from, size_of::<T>()).reader().read()
}

fn put_user<T: AsBytes>(to: UserPtr, value: T) -> Result {
    UserSlice::new(to, size_of::<T>()).writer().write(&value)
}

/// The configuration is final once the interrupt controller has been initialized.
fn require_uninitialized(vm: &VmLock<'_, Riscv>) -> Result {
    if vm.backend().irqchip().is_some() {
        return Err(EBUSY);
    }
    Ok(())
}

/// Changes the configuration.
fn configure(
    vm: &VmLock<'_, Riscv>,
    change: impl FnOnce(&mut Config) -> Result<(), layout::Error>,
) -> Result {
    require_uninitialized(vm)?;
    change(&mut vm.backend().irqchip_config.lock()).map_err(|_| EINVAL)
}

/// Returns the vCPU whose interrupt file an address is for.
fn vcpu_at(vm: &Vm<Riscv>, index: u64) -> Result<&Vcpu<Riscv>> {
    // The attributes of vCPUs that there are not are unknown.
    let index = usize::try_from(index).map_err(|_| ENXIO)?;
    if index >= vm.online_vcpus() {
        return Err(ENXIO);
    }
    vm.vcpu(index).ok_or(ENXIO)
}

/// Returns a register of an interrupt file.
///
/// # Errors
///
/// [`ENODEV`] if there is no interrupt controller, or no such vCPU with an interrupt file.
/// [`ENOENT`] if no interrupt file has such a register, [`EINVAL`] if this one has not.
fn imsic_reg(
    vm: &Vm<Riscv>,
    vcpu_id: u64,
    siselect: u64,
) -> Result<(&Vcpu<Riscv>, &Imsic, ImsicReg)> {
    if vm.backend().irqchip().is_none() {
        return Err(ENODEV);
    }
    let id = u32::try_from(vcpu_id).map_err(|_| ENODEV)?;
    let vcpu = vm.vcpu_by_id(VcpuId(id)).ok_or(ENODEV)?;
    let imsic = vcpu.shared().imsic.get().ok_or(ENODEV)?;
    let reg = match IndirectReg::decode(siselect) {
        Ok(IndirectReg::Imsic(ImsicReg::Reserved) | IndirectReg::Iprio(_)) => return Err(ENOENT),
        Ok(IndirectReg::Imsic(reg)) => reg,
        Err(SelectError::Odd) => return Err(EINVAL),
        Err(SelectError::Unknown) => return Err(ENOENT),
    };
    if !imsic.implements(reg) {
        return Err(EINVAL);
    }
    Ok((vcpu, imsic, reg))
}

/// Initializes the interrupt controller: from now on, the guest has it.
///
/// # Errors
///
/// [`EBUSY`] if it is initialized, or if a vCPU is being created. [`EINVAL`] if the configuration
/// does not fit together. [`ENOMEM`].
fn init(vm: &VmLock<'_, Riscv>) -> Result {
    require_uninitialized(vm)?;
    if vm.vcpu_creation_in_progress() {
        return Err(EBUSY);
    }
    let config = vm.backend().irqchip_config.lock().clone();
    let addrs = || {
        vm.vcpus().map(|vcpu| {
            let addr = vcpu.shared().imsic_addr.load(Relaxed);
            (addr != ADDR_UNDEFINED).then_some(addr)
        })
    };
    let layout = config.layout(addrs()).map_err(|_: layout::Error| EINVAL)?;

    // Everything that can fail comes first.
    let aplic = match config.sources() {
        0 => None,
        sources => Some(new_aplic(sources)?),
    };
    let mut imsics = KVec::new();
    let mut harts = KVec::new();
    for (index, addr) in addrs().flatten().enumerate() {
        let imsic = Imsic::new(config.mode(), config.last_id(), Gpa(addr));
        imsics.push(KBox::pin_init(imsic, GFP_KERNEL_ACCOUNT)?, GFP_KERNEL)?;
        let place = layout.locate(addr).ok_or(EINVAL)?;
        Irqchip::add_hart(&mut harts, place.hart, index as u32)?;
    }
    let irqchip = Irqchip {
        layout,
        last: config.last_id(),
        aplic,
        harts,
    };
    let irqchip = KBox::new(irqchip, GFP_KERNEL_ACCOUNT)?;
    if irqchip.aplic.is_some() {
        vm.route_pins(config.sources() + 1)?;
    }

    for (vcpu, imsic) in vm.vcpus().zip(imsics) {
        vcpu.shared().imsic.set(imsic);
        aia::follow_hart_later(vcpu);
    }
    vm.backend().set_irqchip(irqchip);
    Ok(())
}

/// Returns an APLIC with these many wires.
fn new_aplic(sources: u32) -> Result<Aplic> {
    let mut targets = KVec::with_capacity(sources as usize, GFP_KERNEL_ACCOUNT)?;
    for _ in 0..sources {
        targets.push(Target::default(), GFP_KERNEL_ACCOUNT)?;
    }
    KBox::pin_init(
        new_raw_spinlock!(aplic::Domain::new(targets)),
        GFP_KERNEL_ACCOUNT,
    )
}
