// SPDX-License-Identifier: GPL-2.0

//! Traps out of the guest: what one leaves in the CSRs of the hart, and what it means.

use crate::abi::insn::Htinst;
use kernel::{
    bindings,
    kvm::{
        Gpa,
        Gva, //
    },
};

/// Returns whether this is the `scause` of an interrupt.
#[inline(always)]
pub(crate) const fn is_interrupt(scause: u64) -> bool {
    scause >> 63 != 0
}

/// Exceptions by their number in `scause`.
pub(crate) mod cause {
    pub(crate) const INST_MISALIGNED: u64 = 0;
    pub(crate) const INST_ACCESS: u64 = 1;
    pub(crate) const INST_ILLEGAL: u64 = 2;
    pub(crate) const BREAKPOINT: u64 = 3;
    pub(crate) const LOAD_MISALIGNED: u64 = 4;
    pub(crate) const LOAD_ACCESS: u64 = 5;
    pub(crate) const STORE_MISALIGNED: u64 = 6;
    pub(crate) const STORE_ACCESS: u64 = 7;
    pub(crate) const ECALL_U: u64 = 8;
    pub(crate) const ECALL_VS: u64 = 10;
    pub(crate) const INST_PAGE_FAULT: u64 = 12;
    pub(crate) const LOAD_PAGE_FAULT: u64 = 13;
    pub(crate) const STORE_PAGE_FAULT: u64 = 15;
    pub(crate) const SOFTWARE_CHECK: u64 = 18;
    pub(crate) const HARDWARE_ERROR: u64 = 19;
    pub(crate) const INST_GUEST_PAGE_FAULT: u64 = 20;
    pub(crate) const LOAD_GUEST_PAGE_FAULT: u64 = 21;
    pub(crate) const VIRTUAL_INST: u64 = 22;
    pub(crate) const STORE_GUEST_PAGE_FAULT: u64 = 23;
}

/// What a trap out of the guest left in the CSRs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trap {
    /// The guest's program counter.
    pub(crate) sepc: u64,
    /// The cause of the trap.
    pub(crate) scause: u64,
    /// An address or an instruction, depending on the cause.
    pub(crate) stval: u64,
    /// A guest physical address, shifted right by two bits.
    pub(crate) htval: u64,
    /// The instruction in its transformed form, or 0.
    pub(crate) htinst: u64,
}

impl Trap {
    /// Converts the trap that the assembly has recorded.
    pub(crate) fn from_raw(raw: &bindings::kvm_cpu_trap) -> Self {
        Self {
            sepc: raw.sepc as u64,
            scause: raw.scause as u64,
            stval: raw.stval as u64,
            htval: raw.htval as u64,
            htinst: raw.htinst as u64,
        }
    }

    /// Converts the trap for the trace events, which are written in C.
    #[inline]
    pub(crate) fn into_raw(self) -> bindings::kvm_cpu_trap {
        bindings::kvm_cpu_trap {
            sepc: self.sepc as usize,
            scause: self.scause as usize,
            stval: self.stval as usize,
            htval: self.htval as usize,
            htinst: self.htinst as usize,
        }
    }

    /// Returns the guest physical address of a guest page fault.
    ///
    /// `htval` lacks the two lowest bits, which are those of the virtual address in `stval`
    /// ("Hypervisor Trap Value Register").
    #[inline]
    fn gpa(&self) -> Gpa {
        Gpa(self.htval << 2 | self.stval & 3)
    }

    /// Decodes the trap.
    #[inline]
    pub(crate) fn decode(&self) -> Exit {
        if is_interrupt(self.scause) {
            return Exit::Interrupt;
        }
        let fault = |access| {
            Exit::GuestPageFault(GuestPageFault {
                access,
                gpa: self.gpa(),
                gva: Gva(self.stval),
                htinst: self.htinst,
            })
        };
        match self.scause {
            cause::ECALL_VS => Exit::Ecall,
            cause::LOAD_GUEST_PAGE_FAULT => fault(Access::Load),
            cause::STORE_GUEST_PAGE_FAULT => fault(Access::Store),
            cause::INST_GUEST_PAGE_FAULT => fault(Access::Fetch),
            cause::VIRTUAL_INST => Exit::VirtualInstruction,
            cause::BREAKPOINT => Exit::Breakpoint,
            cause::INST_ILLEGAL
            | cause::INST_ACCESS
            | cause::LOAD_MISALIGNED
            | cause::STORE_MISALIGNED
            | cause::LOAD_ACCESS
            | cause::STORE_ACCESS
            | cause::SOFTWARE_CHECK
            | cause::HARDWARE_ERROR => Exit::GuestException,
            _ => Exit::Unknown,
        }
    }
}

/// How memory is accessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// A load.
    Load,
    /// A store or an AMO.
    Store,
    /// An instruction fetch.
    Fetch,
}

/// A guest page fault: the G-stage page table does not allow the access.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GuestPageFault {
    /// The access.
    pub(crate) access: Access,
    /// The guest physical address.
    pub(crate) gpa: Gpa,
    /// The guest virtual address.
    pub(crate) gva: Gva,
    /// The value of the hart's `htinst`.
    pub(crate) htinst: u64,
}

impl GuestPageFault {
    /// Returns whether the hart has tried to write memory: for a store, or, on behalf of any
    /// access, to set an accessed or dirty bit in the guest's page table.
    #[inline]
    pub(crate) fn writes(&self) -> bool {
        self.access == Access::Store
            || matches!(
                Htinst::decode(self.htinst),
                Htinst::PageTableWalk { write: true }
            )
    }

    /// Returns whether the hart has tried to fetch an instruction, and not to read the guest's page
    /// table for that.
    pub(crate) fn fetches(&self) -> bool {
        self.access == Access::Fetch
            && !matches!(Htinst::decode(self.htinst), Htinst::PageTableWalk { .. })
    }
}

/// A trap, decoded.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Exit {
    /// An interrupt of the host, which the kernel has already handled.
    Interrupt,
    /// An ECALL of the guest's kernel, a call to its SBI.
    Ecall,
    /// An access that the G-stage page table does not allow.
    GuestPageFault(GuestPageFault),
    /// A virtual-instruction exception: legal in HS-mode, not permitted to this guest now.
    VirtualInstruction,
    /// A breakpoint that user space has set.
    Breakpoint,
    /// An exception that belongs to the guest. It is not delegated, so that the host can count it,
    /// or because the hart may not have the bit: user mode can use Zicfilp once the guest's kernel
    /// has set `senvcfg.LPE`, which no bit of the hypervisor forbids.
    GuestException,
    /// A cause that the guest cannot raise: delegated, or reserved.
    Unknown,
}
