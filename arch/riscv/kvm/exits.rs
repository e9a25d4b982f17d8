// SPDX-License-Identifier: GPL-2.0

//! Exits: what made the guest stop, decoded once, and what to do about it.

#![deny(unsafe_code)]

pub(crate) mod instruction;
pub(crate) mod mmio;
pub(crate) mod page_fault;

use crate::{
    abi::insn::Htinst,
    hart::guest_csr::{
        exception,
        is_interrupt, //
    },
    sbi,
    switch::regs::Regs,
    trace,
    vcpu::exception::{
        inject,
        Exception, //
    },
    Riscv, //
};
use kernel::{
    bindings,
    kvm::{
        stats::vcpu_counter,
        ExitReason,
        Gpa,
        Gva,
        LoadedVcpu, //
    },
    prelude::*, //
};

/// What a trap out of the guest left in the CSRs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trap {
    /// Where the guest was.
    pub(crate) sepc: u64,
    /// The cause.
    pub(crate) scause: u64,
    /// An address or an instruction.
    pub(crate) stval: u64,
    /// A guest physical address, shifted right by two bits.
    pub(crate) htval: u64,
    /// The instruction, transformed.
    pub(crate) htinst: u64,
}

impl Trap {
    /// Takes the trap from where the assembly has put it.
    pub(crate) fn from_raw(raw: &bindings::kvm_cpu_trap) -> Self {
        Self {
            sepc: raw.sepc as u64,
            scause: raw.scause as u64,
            stval: raw.stval as u64,
            htval: raw.htval as u64,
            htinst: raw.htinst as u64,
        }
    }

    /// Returns the trap as C code knows it.
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
    /// `htval` has it but for the two lowest bits, which are those of the virtual address in
    /// `stval` ("Hypervisor Trap Value Register").
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
            Exit::GuestPageFault(PageFault {
                access,
                gpa: self.gpa(),
                gva: Gva(self.stval),
                htinst: self.htinst,
            })
        };
        match self.scause {
            exception::ECALL_VS => Exit::Ecall,
            exception::LOAD_GUEST_PAGE_FAULT => fault(Access::Load),
            exception::STORE_GUEST_PAGE_FAULT => fault(Access::Store),
            exception::INST_GUEST_PAGE_FAULT => fault(Access::Fetch),
            exception::VIRTUAL_INST => Exit::VirtualInstruction,
            exception::BREAKPOINT => Exit::Breakpoint,
            exception::INST_ILLEGAL
            | exception::INST_ACCESS
            | exception::LOAD_MISALIGNED
            | exception::STORE_MISALIGNED
            | exception::LOAD_ACCESS
            | exception::STORE_ACCESS => Exit::GuestException,
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
pub(crate) struct PageFault {
    /// The access.
    pub(crate) access: Access,
    /// The guest physical address.
    pub(crate) gpa: Gpa,
    /// The guest virtual address.
    pub(crate) gva: Gva,
    /// What the hart tells of the instruction.
    pub(crate) htinst: u64,
}

impl PageFault {
    /// Returns whether the guest's memory was to be written: by a store, or by the walk of a page
    /// table of the guest's on behalf of any access, to set an accessed or dirty bit.
    #[inline]
    pub(crate) fn writes(&self) -> bool {
        self.access == Access::Store
            || matches!(
                Htinst::decode(self.htinst),
                Htinst::PageTableWalk { write: true }
            )
    }
}

/// Why the guest stopped.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Exit {
    /// An interrupt of the host, which has been taken already.
    Interrupt,
    /// A call of the guest's kernel to its SBI.
    Ecall,
    /// An access that the G-stage page table does not allow.
    GuestPageFault(PageFault),
    /// An instruction that VS-mode may use in HS-mode only, or not now.
    VirtualInstruction,
    /// A breakpoint of user space.
    Breakpoint,
    /// An exception that is the guest's own, but is not delegated: the host counts it.
    GuestException,
    /// None that the guest can raise.
    Unknown,
}

/// What is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Enter the guest again.
    Enter,
    /// Return to user space, which the run area tells why.
    Return,
}

/// Handles an exit.
pub(crate) fn handle(vcpu: &LoadedVcpu<'_, Riscv>, trap: &Trap) -> Result<Next> {
    let exit = trap.decode();
    if !matches!(exit, Exit::Interrupt) {
        trace::vcpu_exit(vcpu.id(), trap);
    }
    let next = match exit {
        Exit::Interrupt => Ok(Next::Enter),
        Exit::Ecall => sbi::handle(vcpu),
        Exit::GuestPageFault(fault) => page_fault::handle(vcpu, &fault),
        Exit::VirtualInstruction => instruction::handle(vcpu, trap.stval),
        Exit::Breakpoint => {
            vcpu.run_area().set_exit_reason(ExitReason::Debug);
            Ok(Next::Return)
        }
        Exit::GuestException => {
            count(vcpu, trap.scause);
            inject(vcpu, Exception::of_trap(trap));
            Ok(Next::Enter)
        }
        Exit::Unknown => {
            vcpu.run_area().set_exit_reason(ExitReason::Unknown);
            Err(EFAULT)
        }
    };
    if let Err(e) = next {
        if e != EINTR {
            report(vcpu, trap, e);
        }
    }
    next
}

/// Counts an exception of the guest.
fn count(vcpu: &LoadedVcpu<'_, Riscv>, scause: u64) {
    vcpu.count(match scause {
        exception::INST_ILLEGAL => vcpu_counter!(instr_illegal_exits),
        exception::LOAD_MISALIGNED => vcpu_counter!(load_misaligned_exits),
        exception::STORE_MISALIGNED => vcpu_counter!(store_misaligned_exits),
        exception::LOAD_ACCESS => vcpu_counter!(load_access_exits),
        exception::STORE_ACCESS => vcpu_counter!(store_access_exits),
        _ => return,
    });
}

/// Tells the log of a guest that cannot go on. At the debug level: any user of `/dev/kvm` can make
/// as many of these as it likes.
#[cold]
fn report(vcpu: &LoadedVcpu<'_, Riscv>, trap: &Trap, error: Error) {
    let regs = Regs::of(vcpu);
    pr_debug!(
        "vCPU {} stopped with {:?}: {:x?} sstatus={:x} hstatus={:x}\n",
        vcpu.id().0,
        error,
        trap,
        regs.sstatus().into_raw(),
        regs.hstatus().into_raw(),
    );
}
