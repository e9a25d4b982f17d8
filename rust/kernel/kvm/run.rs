// SPDX-License-Identifier: GPL-2.0

//! The area that a vCPU shares with user space, `struct kvm_run`.

use super::addr::Gpa;
use crate::{
    bindings,
    prelude::*, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};

/// Why `KVM_RUN` returns to user space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitReason {
    /// No reason has been given, or the guest did what the backend does not know.
    Unknown,
    /// The guest has hit a breakpoint of user space.
    Debug,
    /// The guest accesses a device that user space emulates.
    Mmio,
    /// A signal came in.
    Intr,
    /// The guest wants to be reset or switched off.
    SystemEvent,
    /// The guest has no memory where user space has promised some.
    MemoryFault,
    /// A reason of the architecture, `KVM_EXIT_*`.
    Arch(u32),
}

impl ExitReason {
    #[inline]
    const fn raw(self) -> u32 {
        match self {
            Self::Unknown => bindings::KVM_EXIT_UNKNOWN,
            Self::Debug => bindings::KVM_EXIT_DEBUG,
            Self::Mmio => bindings::KVM_EXIT_MMIO,
            Self::Intr => bindings::KVM_EXIT_INTR,
            Self::SystemEvent => bindings::KVM_EXIT_SYSTEM_EVENT,
            Self::MemoryFault => bindings::KVM_EXIT_MEMORY_FAULT,
            Self::Arch(reason) => reason,
        }
    }
}

/// The run area of a vCPU.
///
/// User space may write it at any time, so each access is one volatile access, and nothing that is
/// read is trusted or read twice.
#[derive(Clone, Copy)]
pub struct RunArea<'a> {
    run: NonNull<bindings::kvm_run>,
    _life: PhantomData<&'a ()>,
}

impl RunArea<'_> {
    /// # Safety
    ///
    /// `run` must be the run area of a vCPU that lives for the lifetime of the result.
    #[inline]
    pub(super) unsafe fn new(run: *mut bindings::kvm_run) -> Self {
        Self {
            // SAFETY: The core allocates the area together with the vCPU.
            run: unsafe { NonNull::new_unchecked(run) },
            _life: PhantomData,
        }
    }

    #[inline]
    fn raw(&self) -> *mut bindings::kvm_run {
        self.run.as_ptr()
    }

    /// Sets the reason of the exit.
    #[inline]
    pub fn set_exit_reason(&self, reason: ExitReason) {
        // SAFETY: The area is valid.
        unsafe { (&raw mut (*self.raw()).exit_reason).write_volatile(reason.raw()) };
    }

    /// Returns whether `reason` is still the reason of the last exit: user space may have said
    /// otherwise meanwhile.
    #[inline]
    pub fn is_exit_reason(&self, reason: ExitReason) -> bool {
        // SAFETY: The area is valid.
        unsafe { (&raw const (*self.raw()).exit_reason).read_volatile() == reason.raw() }
    }

    /// Asks user space for a load from a device.
    #[inline]
    pub fn exit_mmio_load(&self, addr: Gpa, len: usize) {
        self.fill_mmio(addr, len, false);
        self.set_exit_reason(ExitReason::Mmio);
    }

    /// Asks user space for a store to a device; `data` is 8 bytes or fewer.
    #[inline]
    pub fn exit_mmio_store(&self, addr: Gpa, data: &[u8]) {
        let data = data.get(..8).unwrap_or(data);
        // SAFETY: The area is valid and holds 8 bytes of data.
        unsafe {
            let dst = (&raw mut (*self.raw()).__bindgen_anon_1.mmio.data).cast::<u8>();
            for (i, byte) in data.iter().enumerate() {
                dst.add(i).write_volatile(*byte);
            }
        }
        self.fill_mmio(addr, data.len(), true);
        self.set_exit_reason(ExitReason::Mmio);
    }

    #[inline]
    fn fill_mmio(&self, addr: Gpa, len: usize, is_write: bool) {
        // SAFETY: The area is valid.
        unsafe {
            let mmio = &raw mut (*self.raw()).__bindgen_anon_1.mmio;
            (&raw mut (*mmio).phys_addr).write_volatile(addr.0);
            (&raw mut (*mmio).len).write_volatile(len as u32);
            (&raw mut (*mmio).is_write).write_volatile(u8::from(is_write));
        }
    }

    /// Returns the data that user space gives in answer to a load.
    #[inline]
    pub fn mmio_data(&self) -> [u8; 8] {
        // SAFETY: The area is valid and holds 8 bytes of data.
        unsafe { (&raw const (*self.raw()).__bindgen_anon_1.mmio.data).read_volatile() }
    }

    /// Tells user space of a system event, with one word of data.
    #[inline]
    pub fn exit_system_event(&self, kind: u32, data: u64) {
        // SAFETY: The area is valid, and zeroes are valid values of all fields.
        unsafe {
            let event = &raw mut (*self.raw()).__bindgen_anon_1.system_event;
            core::ptr::write_bytes(event, 0, 1);
            (&raw mut (*event).type_).write_volatile(kind);
            (&raw mut (*event).ndata).write_volatile(1);
            (&raw mut (*event).__bindgen_anon_1.data)
                .cast::<u64>()
                .write_volatile(data);
        }
        self.set_exit_reason(ExitReason::SystemEvent);
    }

    /// Tells user space which `size` bytes of the guest's memory from `addr` on could not be had.
    /// `KVM_RUN` fails then, with [`EFAULT`] or `EHWPOISON`.
    #[cold]
    #[inline]
    pub fn exit_memory_fault(&self, addr: Gpa, size: usize) {
        // SAFETY: The area is valid.
        unsafe {
            let fault = &raw mut (*self.raw()).__bindgen_anon_1.memory_fault;
            (&raw mut (*fault).flags).write_volatile(0);
            (&raw mut (*fault).gpa).write_volatile(addr.0);
            (&raw mut (*fault).size).write_volatile(size as u64);
        }
        self.set_exit_reason(ExitReason::MemoryFault);
    }

    /// Asks user space for something of the architecture's, told in `words`.
    #[inline]
    pub fn exit_arch<const N: usize>(&self, reason: u32, words: [u64; N]) {
        const { assert!(N <= Self::WORDS) };
        // SAFETY: The area is valid and holds so many words.
        unsafe {
            let dst = (&raw mut (*self.raw()).__bindgen_anon_1).cast::<u64>();
            for (i, word) in words.iter().enumerate() {
                dst.add(i).write_volatile(*word);
            }
        }
        self.set_exit_reason(ExitReason::Arch(reason));
    }

    /// Returns word number `I` of what [`exit_arch`](Self::exit_arch) has put there, and user space
    /// may have changed.
    #[inline]
    pub fn arch_word<const I: usize>(&self) -> u64 {
        const { assert!(I < Self::WORDS) };
        // SAFETY: The area is valid and holds so many words.
        unsafe {
            (&raw const (*self.raw()).__bindgen_anon_1)
                .cast::<u64>()
                .add(I)
                .read_volatile()
        }
    }

    const WORDS: usize = size_of::<bindings::kvm_run__bindgen_ty_1>() / size_of::<u64>();
}
