// SPDX-License-Identifier: GPL-2.0

//! The interrupt controllers of a vCPU: the CSRs of the AIA, and the interrupt file that takes
//! messages (IMSIC).
//!
//! The file is in one of two places. In memory, [`File`] has its registers, the guest's accesses to
//! them trap, and the external interrupt is a bit of `hvip`. Or it is a guest interrupt file of a
//! hart: then the guest accesses it without an exit, other vCPUs and devices store messages to its
//! page, and the interrupt comes from the hart. Such a file cannot leave its hart, so what it holds
//! moves to another file, or to memory, when the vCPU does.
//!
//! # Locks
//!
//! | lock | protects | held while |
//! | --- | --- | --- |
//! | `guest_file`, a mutex | the vCPU's right to a file of a hart | the contents move |
//! | `place`, a raw spinlock | the file in memory, and where messages go | a message is delivered |
//!
//! The first is taken ahead of the second. Under the second, nothing waits for another hart, so
//! that messages can be delivered in any context.

use crate::{
    abi::{
        aia::{
            Identity,
            ImsicReg,
            IndirectReg,
            SelectError, //
            EXTERNAL_INTERRUPT,
        },
        insn::CsrInsn,
        warl, //
    },
    aia::{
        imsic::{
            File,
            Priorities, //
        },
        layout::Mode, //
    },
    hart::{
        csr::{
            self,
            VsInterrupt, //
        },
        features,
        guest_csr,
        guest_files::{
            self,
            GuestFile,
            Port, //
        }, //
    },
    mmu::map,
    switch::regs::Regs,
    vcpu::interrupts,
    Riscv, //
};
use kernel::{
    access_once::AccessOnce,
    bindings,
    cpu::CpuId,
    kvm::{
        Gpa,
        LoadedVcpu,
        LockedVcpu,
        PreemptOff,
        Request,
        Vcpu, //
    },
    new_mutex,
    num::Bounded,
    prelude::*,
    raw_spinlock::{
        new_raw_spinlock,
        RawSpinLock, //
    },
    sync::{
        atomic::Atomic,
        Mutex, //
    },
};

/// The vCPU has come to a hart on which it has no guest interrupt file.
const MOVE_FILE: Request = Request::arch(5).wait_no_wakeup();

/// The CSRs of the AIA, but for `hvictl`, which follows from the interrupts.
#[derive(Clone, Copy)]
pub(crate) struct AiaCsrs {
    /// What the guest selects by `siselect`, while the vCPU is not loaded.
    pub(crate) vsiselect: u64,
    /// The priorities of the guest's interrupts.
    pub(crate) priorities: Priorities,
}

impl AiaCsrs {
    /// The values after a reset, and those of a guest without the AIA.
    pub(crate) const RESET: Self = Self {
        vsiselect: 0,
        priorities: Priorities {
            hviprio1: 0,
            hviprio2: 0,
        },
    };

    /// Returns the bytes of `hviprio1` for the interrupts that a guest has: software, timer, and
    /// the overflow of a counter.
    pub(crate) fn hviprio1() -> u64 {
        let delegated = 0xff << 8 | 0xff << 24;
        if features::overflow_interrupt() {
            delegated | 0xff << 40
        } else {
            delegated
        }
    }

    /// The bits that a guest without custom registers needs in `siselect`.
    const SISELECT: u64 = 0xfff;

    /// Writes the CSRs to this hart.
    pub(crate) fn load(&self, hart: &PreemptOff) {
        guest_csr::write::<{ csr::VSISELECT }>(hart, self.vsiselect);
        guest_csr::write::<{ csr::HVIPRIO1 }>(hart, self.priorities.hviprio1);
        guest_csr::write::<{ csr::HVIPRIO2 }>(hart, self.priorities.hviprio2);
    }

    /// Reads what the guest may have changed without an exit.
    pub(crate) fn read(&mut self, hart: &PreemptOff) {
        self.vsiselect = guest_csr::read::<{ csr::VSISELECT }>(hart);
    }

    /// Returns the legal value of `siselect` for one that user space gives.
    pub(crate) fn legal_siselect(value: u64) -> u64 {
        value & Self::SISELECT
    }
}

/// The interrupt file of a vCPU.
#[pin_data]
pub(crate) struct Imsic {
    mode: Mode,
    /// Where other harts of the guest store messages.
    gpa: Gpa,
    /// The CPU whose file the vCPU has, or [`NO_CPU`].
    cpu: Atomic<u32>,
    /// Whether the file wakes the vCPU by its next interrupt.
    armed: Atomic<bool>,
    #[pin]
    guest_file: Mutex<Option<GuestFile>>,
    #[pin]
    place: RawSpinLock<Place>,
}

const NO_CPU: u32 = u32::MAX;

struct Place {
    /// What the guest has in memory: everything, or nothing but what arrives while the contents
    /// move.
    file: File,
    /// Where messages go instead, if the vCPU has a file of a hart.
    port: Option<Port>,
}

/// What comes of a guest's access to a CSR of the AIA.
pub(crate) enum CsrAccess {
    /// It has read this.
    Done(u64),
    /// The guest has to try again.
    Retry,
    /// There is no such register.
    Illegal,
    /// User space has the interrupt controller.
    UserSpace,
}

impl Imsic {
    /// Returns an initializer for an empty file at `gpa`, with identities up to `last`.
    pub(crate) fn new(mode: Mode, last: Identity, gpa: Gpa) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            mode,
            gpa,
            cpu: Atomic::new(NO_CPU),
            armed: Atomic::new(false),
            guest_file <- new_mutex!(None),
            place <- new_raw_spinlock!(Place {
                file: File::new(last),
                port: None,
            }),
        })
    }

    /// Returns whether user space has a register to save and restore.
    pub(crate) fn implements(&self, reg: ImsicReg) -> bool {
        self.place.with(|place, _| place.file.implements(reg))
    }

    /// Reads a register for user space. May sleep.
    pub(crate) fn read(&self, reg: ImsicReg) -> u64 {
        match &*self.guest_file.lock() {
            Some(file) => file.read(reg),
            None => self.place.with(|place, _| place.file.read(reg)),
        }
    }

    /// Returns whether the file of a hart has an interrupt for the guest, or may have one. The file
    /// in memory shows its interrupt in `hvip`.
    fn may_have_interrupt(&self) -> bool {
        if self.cpu.read_once() == NO_CPU {
            return false;
        }
        self.place.with(|place, irq| {
            let Some(port) = place.port else {
                return false;
            };
            let is_armed = port.is_armed();
            // A vCPU that has been moved since it last ran, and not been armed before, asks another
            // hart: WFI may end for no reason.
            port.was_woken() || !is_armed && port.has_interrupt(irq).unwrap_or(true)
        })
    }
}

/// Delivers a message to a vCPU. May be called in any context.
pub(crate) fn deliver(vcpu: &Vcpu<Riscv>, imsic: &Imsic, identity: Identity) {
    let kick = imsic.place.with(|place, _| match place.port {
        Some(port) => {
            port.send(identity);
            false
        }
        // If the interrupt is pending already, this one is a part of it.
        None => place.file.set_pending(identity) && show_external(vcpu, place),
    });
    if kick {
        vcpu.kick();
    }
}

/// Writes a register for user space. May sleep.
pub(crate) fn write(vcpu: &Vcpu<Riscv>, imsic: &Imsic, reg: ImsicReg, value: u64) {
    if let Some(file) = &*imsic.guest_file.lock() {
        return file.write(reg, value);
    }
    change(vcpu, imsic, |file| file.write(reg, value));
}

/// Changes the file in memory, and the vCPU's external interrupt with it. Returns [`None`], having
/// done nothing, if the vCPU has a file of a hart.
fn change<R>(vcpu: &Vcpu<Riscv>, imsic: &Imsic, f: impl FnOnce(&mut File) -> R) -> Option<R> {
    let (result, kick) = imsic.place.with(|place, _| {
        if place.port.is_some() {
            return None;
        }
        let result = f(&mut place.file);
        Some((result, show_external(vcpu, place)))
    })?;
    if kick {
        vcpu.kick();
    }
    Some(result)
}

/// Makes the external interrupt of a vCPU that of the file in memory. The caller holds the lock, so
/// that the last one to change the file comes last, and kicks the vCPU afterwards if this returns
/// `true`.
fn show_external(vcpu: &Vcpu<Riscv>, place: &Place) -> bool {
    let top = place.file.external();
    if top == vcpu.shared().interrupts.external() {
        return false;
    }
    interrupts::set_external(vcpu, top);
    top.is_some()
}

/// Makes the external interrupt of a vCPU that of its file again, after all interrupts were set.
pub(crate) fn restore_external(vcpu: &Vcpu<Riscv>) {
    let Some(imsic) = vcpu.shared().imsic.get() else {
        return;
    };
    let kick = imsic.place.with(|place, _| {
        let top = place.file.external();
        interrupts::set_external(vcpu, top);
        top.is_some()
    });
    if kick {
        vcpu.kick();
    }
}

/// Empties the file of a vCPU. May sleep.
pub(crate) fn reset(vcpu: &LockedVcpu<'_, Riscv>) {
    if let Some(imsic) = vcpu.shared().imsic.get() {
        evict(vcpu);
        change(vcpu, imsic, File::clear);
        vcpu.request(MOVE_FILE);
    }
}

/// Handles an access of the guest's kernel to `sireg` or `stopei`.
pub(crate) fn access_csr(vcpu: &LoadedVcpu<'_, Riscv>, insn: CsrInsn) -> CsrAccess {
    let regs = Regs::of(vcpu);
    let write = insn.write(|gpr| regs.gpr(gpr));
    let imsic = vcpu.shared().imsic.get();
    if insn.csr == csr::STOPEI {
        let Some(imsic) = imsic else {
            return CsrAccess::UserSpace;
        };
        // Whatever is written takes the interrupt that is read.
        let top = change(vcpu, imsic, |file| {
            let top = file.topei();
            if write.mask != 0 {
                file.claim();
            }
            top
        });
        return match top {
            Some(top) => CsrAccess::Done(top.map_or(0, Identity::topei)),
            None => refused_by_hart(vcpu),
        };
    }
    let siselect = guest_csr::read::<{ csr::VSISELECT }>(vcpu);
    match (IndirectReg::decode(siselect), imsic) {
        (Ok(IndirectReg::Iprio(reg)), _) => {
            let isa = vcpu.local().isa.get();
            let sie = warl::interrupts(u64::MAX, |ext| isa.has(ext)) & !(1 << EXTERNAL_INTERRUPT);
            // The hook for load reads what changes here.
            let preempt = PreemptOff::new();
            let local = vcpu.local();
            let mut csrs = local.aia.get();
            let old = csrs.priorities.modify(reg, write.value, write.mask, sie);
            if write.mask != 0 {
                let Priorities { hviprio1, hviprio2 } = csrs.priorities;
                local.aia.set(csrs);
                guest_csr::write::<{ csr::HVIPRIO1 }>(&preempt, hviprio1);
                guest_csr::write::<{ csr::HVIPRIO2 }>(&preempt, hviprio2);
            }
            CsrAccess::Done(old)
        }
        (Ok(IndirectReg::Imsic(reg)), Some(imsic)) => {
            let old = change(vcpu, imsic, |file| {
                file.modify(reg, write.value, write.mask)
            });
            old.map_or_else(|| refused_by_hart(vcpu), CsrAccess::Done)
        }
        (Err(SelectError::Odd), _) | (Err(SelectError::Unknown), Some(_)) => CsrAccess::Illegal,
        (Ok(IndirectReg::Imsic(_)) | Err(SelectError::Unknown), None) => CsrAccess::UserSpace,
    }
}

/// Returns what comes of an access to the interrupt file that traps although the vCPU has one of
/// the hart: the file has no such register. Those are read-only zeros (AIA, "Indirectly accessed
/// interrupt-file registers").
fn refused_by_hart(vcpu: &LoadedVcpu<'_, Riscv>) -> CsrAccess {
    if Regs::of(vcpu).hstatus().vgein().get() == 0 {
        // The vCPU has got the file since.
        return CsrAccess::Retry;
    }
    CsrAccess::Done(0)
}

/// Returns whether a guest interrupt file has, or may have, an interrupt that the guest waits for.
pub(crate) fn has_interrupt(vcpu: &Vcpu<Riscv>) -> bool {
    let shared = vcpu.shared();
    let imsic = shared.imsic.get();
    imsic.is_some_and(|imsic| {
        imsic.may_have_interrupt() && shared.interrupts.enabled(VsInterrupt::External)
    })
}

/// Notes that the vCPU is loaded on CPU `cpu`.
pub(super) fn loaded(vcpu: &LockedVcpu<'_, Riscv>, cpu: u32, _: &PreemptOff) {
    let Some(imsic) = vcpu.shared().imsic.get() else {
        return;
    };
    if imsic.mode == Mode::Emulated {
        return;
    }
    if imsic.cpu.read_once() != cpu {
        vcpu.request(MOVE_FILE);
    } else if imsic.armed.read_once() {
        // While the vCPU runs, an interrupt of its file is the guest's alone.
        imsic.place.with(|place, irq| {
            if let Some(port) = place.port {
                port.disarm(irq);
            }
        });
        imsic.armed.write_once(false);
    }
}

/// Notes that the vCPU is taken off its hart. If it waits for an interrupt, the next one of its
/// guest interrupt file wakes it.
pub(super) fn put(vcpu: &LockedVcpu<'_, Riscv>, _: &PreemptOff) {
    let Some(imsic) = vcpu.shared().imsic.get() else {
        return;
    };
    if imsic.cpu.read_once() == NO_CPU || !vcpu.is_halted() {
        return;
    }
    let is_armed = imsic
        .place
        .with(|place, irq| place.port.is_some_and(|port| port.arm(irq)));
    if is_armed {
        imsic.armed.write_once(true);
    }
}

/// Asks a vCPU, which has just got its interrupt file, for [`follow_hart`].
pub(crate) fn follow_hart_later(vcpu: &Vcpu<Riscv>) {
    let imsic = vcpu.shared().imsic.get();
    if imsic.is_some_and(|imsic| imsic.mode != Mode::Emulated) {
        vcpu.request(MOVE_FILE);
        vcpu.kick();
    }
}

/// Gives the vCPU a file of the hart that it is on, if it has come there from elsewhere. May sleep.
/// Returns `false` if there is none and the vCPU must not run without.
///
/// The vCPU may go on to another hart meanwhile. Then it is asked for this again.
pub(crate) fn follow_hart(vcpu: &LoadedVcpu<'_, Riscv>) -> Result<bool> {
    let Some(imsic) = vcpu.shared().imsic.get() else {
        return Ok(true);
    };
    if !vcpu.take_request(MOVE_FILE) || imsic.mode == Mode::Emulated {
        return Ok(true);
    }
    let cpu = CpuId::current();
    if imsic.cpu.read_once() != cpu.as_u32() {
        match GuestFile::claim(cpu, vcpu) {
            Some(file) => move_to(vcpu, imsic, file)?,
            None if imsic.mode == Mode::Accelerated => {
                let words = [
                    u64::from(bindings::KVM_EXIT_FAIL_ENTRY_NO_VSFILE),
                    u64::from(cpu.as_u32()),
                ];
                let reason = bindings::KVM_EXIT_FAIL_ENTRY;
                vcpu.run_area().exit_arch(reason, words);
                vcpu.request(MOVE_FILE);
                return Ok(false);
            }
            None => evict(vcpu),
        }
    }
    // Nobody else takes the file of this hart away, but for a hart that goes offline, which asks
    // for this again.
    let vgein = imsic
        .guest_file
        .lock()
        .as_ref()
        .map_or(Bounded::from_expr(0), |file| file.number().vgein());
    let regs = Regs::of(vcpu);
    regs.set_hstatus(regs.hstatus().with_vgein(vgein));
    // The vCPU may have been loaded on another hart before it was known whose file it has.
    let _preempt = PreemptOff::new();
    let has_file = imsic.cpu.read_once() != NO_CPU;
    if has_file && imsic.cpu.read_once() != CpuId::current().as_u32() {
        vcpu.request(MOVE_FILE);
    }
    Ok(true)
}

/// Moves what a vCPU has to a file of a hart, from another one or from memory.
///
/// First come those who send messages: whoever stores to the guest's page, and this module. Then
/// nothing is added to the old place any more, and what it holds moves.
fn move_to(vcpu: &LoadedVcpu<'_, Riscv>, imsic: &Imsic, file: GuestFile) -> Result {
    let mut guest_file = imsic.guest_file.lock();
    if let Err(e) = map::map_guest_file(vcpu, imsic.gpa.gfn(), &file) {
        file.release();
        return Err(e);
    }
    let in_memory = imsic.place.with(|place, _| {
        place.port = Some(file.port());
        let held = place.file.take();
        show_external(vcpu, place);
        held
    });
    imsic.cpu.write_once(file.hart().as_u32());
    imsic.armed.write_once(false);
    match guest_file.take() {
        Some(old) => file.add(&old.release()),
        None => file.add(&in_memory),
    }
    *guest_file = Some(file);
    Ok(())
}

/// Moves what a vCPU has in a file of a hart to memory, and gives the file back. May sleep.
///
/// Any thread may do that. If the vCPU runs, it must do so on another hart.
pub(crate) fn evict(vcpu: &Vcpu<Riscv>) {
    let Some(imsic) = vcpu.shared().imsic.get() else {
        return;
    };
    let mut guest_file = imsic.guest_file.lock();
    let Some(old) = guest_file.take() else {
        return;
    };
    map::unmap_guest_file(vcpu.vm(), imsic.gpa.gfn());
    imsic.place.with(|place, _| place.port = None);
    imsic.cpu.write_once(NO_CPU);
    imsic.armed.write_once(false);
    let held = old.release();
    change(vcpu, imsic, |file| file.merge(&held));
}

/// Takes the files of this hart from their vCPUs, before it goes offline.
pub(crate) fn evict_all_here() {
    guest_files::for_each_owner_here(|vcpu| {
        evict(vcpu);
        vcpu.request(MOVE_FILE);
    });
}

/// Takes the file of a vCPU that is about to be destroyed.
pub(crate) fn destroy(vcpu: &Vcpu<Riscv>) {
    if vcpu.shared().imsic.get().is_some() {
        guest_files::before_destruction(|| evict(vcpu));
    }
}
