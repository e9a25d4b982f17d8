// SPDX-License-Identifier: GPL-2.0

//! Devices that user space creates by `KVM_CREATE_DEVICE` and sets up by attributes.

use super::{
    backend::LinkedBackend,
    registration::Unregistered,
    shims::errno,
    vm::Vm,
    vm_lock::VmLock, //
};
use crate::{
    bindings,
    error::to_result,
    prelude::*,
    str::as_char_ptr_in_const_context,
    uaccess::UserPtr, //
};
use core::marker::PhantomData;

/// An attribute of a device, as user space names it.
#[derive(Clone, Copy)]
pub struct DeviceAttr {
    /// The group of attributes.
    pub group: u32,
    /// The attribute in the group.
    pub attr: u64,
    /// Where user space has the value, or wants it.
    pub data: UserPtr,
}

/// A type of devices.
///
/// A device is a file, whose state is a part of the VM's: it can be created before that file is
/// there, and stays when the file is closed.
pub trait DeviceOps<B: LinkedBackend>: 'static {
    /// The name of the files.
    const NAME: &'static CStr;

    /// The number of the type, `KVM_DEV_TYPE_*`.
    const TYPE: u32;

    /// Creates the device of a VM.
    ///
    /// If this fails, there is no device. If this succeeds, user space may still get no file; then
    /// there is a device without one.
    fn create(vm: &VmLock<'_, B>) -> Result;

    /// Handles `KVM_SET_DEVICE_ATTR`. Several threads may call it at the same time.
    fn set_attr(vm: &Vm<B>, attr: DeviceAttr) -> Result;

    /// Handles `KVM_GET_DEVICE_ATTR`. Several threads may call it at the same time.
    fn get_attr(vm: &Vm<B>, attr: DeviceAttr) -> Result;

    /// Handles `KVM_HAS_DEVICE_ATTR`: returns [`ENXIO`] if there is no such attribute.
    fn has_attr(vm: &Vm<B>, attr: DeviceAttr) -> Result;
}

/// The registration of a type of devices, which user space can create as long as this exists.
pub struct DeviceRegistration<B: LinkedBackend, D: DeviceOps<B>> {
    _types: PhantomData<fn() -> (B, D)>,
}

impl<B: LinkedBackend, D: DeviceOps<B>> DeviceRegistration<B, D> {
    /// Registers the type, before there is a VM that could have a device of it.
    ///
    /// # Errors
    ///
    /// [`EEXIST`] if the type is registered.
    pub fn new(_: &Unregistered) -> Result<Self> {
        // SAFETY: The table is a constant of the module, which the files of devices keep loaded,
        // and so do those of VMs. Nobody reads the core's list of types, for there is no VM.
        to_result(unsafe { bindings::kvm_register_device_ops(&Self::OPS, D::TYPE) })?;
        Ok(Self {
            _types: PhantomData,
        })
    }

    const OPS: bindings::kvm_device_ops = bindings::kvm_device_ops {
        name: as_char_ptr_in_const_context(D::NAME),
        create: Some(Self::create),
        init: None,
        destroy: Some(Self::destroy),
        release: None,
        set_attr: Some(Self::set_attr),
        get_attr: Some(Self::get_attr),
        has_attr: Some(Self::has_attr),
        ioctl: None,
        mmap: None,
    };

    /// # Safety
    ///
    /// `device` must point to a device of a VM for which [`init_vm`](super::shims::init_vm) has
    /// succeeded. This thread must hold the VM's lock.
    unsafe extern "C" fn create(device: *mut bindings::kvm_device, _type: u32) -> c_int {
        // SAFETY: By the requirement.
        let vm = unsafe { Vm::<B>::from_raw((*device).kvm) };
        // SAFETY: By the requirement.
        errno(unsafe { VmLock::assume(vm, D::create) })
    }

    /// # Safety
    ///
    /// `device` must point to a device that nobody uses any more.
    unsafe extern "C" fn destroy(device: *mut bindings::kvm_device) {
        // SAFETY: The core has allocated the device by `kzalloc()`, and leaves it to this.
        unsafe { bindings::kfree(device.cast()) };
    }

    /// # Safety
    ///
    /// `device` must point to a device of a VM for which [`init_vm`](super::shims::init_vm) has
    /// succeeded, and `attr` must be valid for reads.
    unsafe fn handle(
        device: *mut bindings::kvm_device,
        attr: *mut bindings::kvm_device_attr,
        handler: fn(&Vm<B>, DeviceAttr) -> Result,
    ) -> c_int {
        // SAFETY: By the requirement. The device's file holds a reference to the VM.
        let (vm, attr) = unsafe { (Vm::from_raw((*device).kvm), &*attr) };
        errno(handler(
            vm,
            DeviceAttr {
                group: attr.group,
                attr: attr.attr,
                data: UserPtr::from_addr(attr.addr as usize),
            },
        ))
    }

    /// # Safety
    ///
    /// As for [`handle`](Self::handle).
    unsafe extern "C" fn set_attr(
        device: *mut bindings::kvm_device,
        attr: *mut bindings::kvm_device_attr,
    ) -> c_int {
        // SAFETY: By the requirement.
        unsafe { Self::handle(device, attr, D::set_attr) }
    }

    /// # Safety
    ///
    /// As for [`handle`](Self::handle).
    unsafe extern "C" fn get_attr(
        device: *mut bindings::kvm_device,
        attr: *mut bindings::kvm_device_attr,
    ) -> c_int {
        // SAFETY: By the requirement.
        unsafe { Self::handle(device, attr, D::get_attr) }
    }

    /// # Safety
    ///
    /// As for [`handle`](Self::handle).
    unsafe extern "C" fn has_attr(
        device: *mut bindings::kvm_device,
        attr: *mut bindings::kvm_device_attr,
    ) -> c_int {
        // SAFETY: By the requirement.
        unsafe { Self::handle(device, attr, D::has_attr) }
    }
}

impl<B: LinkedBackend, D: DeviceOps<B>> Drop for DeviceRegistration<B, D> {
    fn drop(&mut self) {
        // SAFETY: `new()` has registered the type. Devices that exist keep using the table, which
        // stays as long as the module.
        unsafe { bindings::kvm_unregister_device_ops(D::TYPE) };
    }
}
