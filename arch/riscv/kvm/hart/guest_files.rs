// SPDX-License-Identifier: GPL-2.0

//! The guest interrupt files of this machine's IMSICs: which vCPU has which of them, and access to
//! their registers.
//!
//! Each hart has files of its own, whose registers only code on that hart reaches. File number `n`
//! is the guest's while `hstatus.VGEIN` is `n`. Bit `n` of `hgeip` says that it has an interrupt
//! for the guest, which interrupts the host if bit `n` of `hgeie` is set (AIA, "Interrupts for
//! virtual machines"; privileged specification, "Hypervisor Guest External Interrupt Registers").
//!
//! What is known of the files of a hart changes only on that hart, with interrupts disabled. So
//! whoever finds the owner of a file there can use the owner until interrupts are enabled: a file
//! is given back before its vCPU goes.

use crate::{
    abi::aia::{
        Eix,
        Identity,
        ImsicReg, //
    },
    aia::imsic::Snapshot,
    hart::{
        csr::{
            self,
            Hstatus, //
        },
        nacl,
        smp, //
    },
    Riscv, //
};
use core::{
    num::NonZero,
    ptr, //
};
use kernel::{
    access_once::AccessOnce,
    bindings,
    cpu::CpuId,
    interrupt::LocalInterruptDisabled,
    kvm::{
        context::with_irqs_saved,
        PreemptOff,
        Unregistered,
        Vcpu, //
    },
    num::Bounded,
    page::PAGE_SIZE,
    percpu::{
        self,
        percpu_static, //
    },
    percpu_irq::{
        self,
        PercpuIrq,
        PercpuIrqHandler, //
    },
    prelude::*,
    sync::atomic::{
        ordering::{
            Acquire,
            Relaxed,
            Release, //
        },
        Atomic, //
    },
};

/// Bits of `hgeip` and `hgeie`, the first of which stands for no file.
const BITS: usize = u64::BITS as usize;

/// `sstatus.SIE`: interrupts are enabled.
const SSTATUS_SIE: u64 = 1 << 1;

/// The number of the guest external interrupt.
const IRQ_S_GEXT: usize = 12;

/// `hie.SGEIE`: guest external interrupts interrupt the host.
const HIE_SGEIE: u64 = 1 << IRQ_S_GEXT;

/// What is known of the files of a hart.
pub(crate) struct HartFiles {
    /// The files that there are, while the hart is online.
    known: Atomic<u64>,
    /// The files that no vCPU has.
    free: Atomic<u64>,
    /// The files whose next interrupt wakes their owner: what `hgeie` holds.
    armed: Atomic<u64>,
    /// The files that have had such an interrupt since.
    woken: Atomic<u64>,
    /// The vCPU that has each file.
    owners: [Atomic<*const Vcpu<Riscv>>; BITS],
    /// What a hart that sleeps may lose of each file: the bits of `eidelivery`, `eithreshold`.
    delivers: Atomic<u64>,
    thresholds: [Atomic<u64>; BITS],
}

percpu_static! {
    static FILES: HartFiles = HartFiles {
        known: Atomic::new(0),
        free: Atomic::new(0),
        armed: Atomic::new(0),
        woken: Atomic::new(0),
        owners: [const { Atomic::new(ptr::null()) }; BITS],
        delivers: Atomic::new(0),
        thresholds: [const { Atomic::new(0) }; BITS],
    };
}

/// The number of guest interrupt files that each hart has.
static COUNT: Atomic<u32> = Atomic::new(0);

/// Returns the number of guest interrupt files that each hart has, of those on which virtualization
/// has been on.
pub(crate) fn count() -> u32 {
    COUNT.load(Relaxed)
}

/// Returns the highest identity that all guest interrupt files of the machine implement, or
/// [`None`] without an IMSIC.
pub(crate) fn max_identity() -> Option<u32> {
    config().map(|config| config.nr_guest_ids)
}

/// The handler of guest external interrupts, which exists as long as virtualization can be on.
pub(crate) struct GuestExternalIrq {
    _irq: KBox<PercpuIrq<GuestExternal>>,
}

/// The one [`GuestExternalIrq`], or null.
static IRQ: Atomic<*const PercpuIrq<GuestExternal>> = Atomic::new(ptr::null());

impl GuestExternalIrq {
    /// Finds out whether there are guest interrupt files, and registers the handler if so.
    ///
    /// With nested acceleration, there are none: `hstatus` and the CSRs of VS-level are those of a
    /// hart that the hypervisor below runs, to which the files belong.
    pub(crate) fn register(_: &Unregistered) -> Result<Option<Self>> {
        // SAFETY: There is one `Unregistered` at a time, and this is the only user of the lock.
        unsafe { OWNERS.init() };
        let count = match config() {
            Some(config) if !nacl::available() => config.nr_guest_files,
            _ => 0,
        };
        COUNT.store(count, Relaxed);
        if count == 0 {
            return Ok(None);
        }
        // SAFETY: The node is null or valid, and stays.
        let irq =
            unsafe { percpu_irq::irq_of_hwirq(bindings::riscv_get_intc_hwnode(), IRQ_S_GEXT) }?;
        let irq = KBox::new(
            PercpuIrq::new(irq, c"kvm guest external", &FILES)?,
            GFP_KERNEL,
        )?;
        IRQ.store(&raw const *irq, Relaxed);
        Ok(Some(Self { _irq: irq }))
    }

    /// Returns the registration, if there is one.
    fn get<'a>() -> Option<&'a PercpuIrq<GuestExternal>> {
        // SAFETY: The pointer is null, or that of what the module owns until virtualization cannot
        // be on any more. The callers switch it on or off.
        unsafe { IRQ.load(Relaxed).as_ref() }
    }
}

impl Drop for GuestExternalIrq {
    fn drop(&mut self) {
        IRQ.store(ptr::null(), Relaxed);
    }
}

/// Handles guest external interrupts.
pub(crate) struct GuestExternal;

impl PercpuIrqHandler for GuestExternal {
    type Data = HartFiles;

    /// Wakes the owners of the files that have an interrupt, once for each time that they are
    /// [armed](GuestFile::arm).
    fn handle(files: &HartFiles, irq: &LocalInterruptDisabled) {
        // SAFETY: The hart has the registers. Fewer interrupts of the host are enabled after this.
        let due = unsafe {
            let due = csr::read::<{ csr::HGEIP }>() & csr::read::<{ csr::HGEIE }>();
            csr::clear::<{ csr::HGEIE }>(due);
            due
        };
        see_interrupts(irq);
        // In this order: see `GuestFile::is_armed()`.
        files.woken.store(files.woken.read_once() | due, Release);
        files.armed.store(files.armed.read_once() & !due, Release);
        for number in FileNumber::of_bits(due) {
            if let Some(vcpu) = files.owner(irq, number) {
                vcpu.kick();
            }
        }
    }
}

/// Makes the guest files of this hart usable, where virtualization has just been switched on. What
/// vCPUs have of them, because the hart has slept, they get back.
pub(super) fn enable(preempt: &PreemptOff) {
    let Some(external) = GuestExternalIrq::get() else {
        return;
    };
    with_irqs_saved(|irq| {
        let files = FILES.get(irq);
        if files.known.read_once() == 0 {
            let known = probe();
            files.known.write_once(known);
            files.free.write_once(known & !files.owned());
            COUNT.store(COUNT.load(Relaxed).min(known.count_ones()), Relaxed);
        }
        for number in FileNumber::of_bits(files.used()) {
            let threshold = files.threshold(number).map_or(0, AccessOnce::read_once);
            let delivers = files.delivers.read_once() & number.bit() != 0;
            Selected::with(irq, number, |file| {
                file.swap(ImsicReg::EiThreshold, threshold);
                file.swap(ImsicReg::EiDelivery, u64::from(delivers));
            });
        }
        // SAFETY: The handler of the interrupt is registered, and knows the files.
        unsafe { csr::write::<{ csr::HGEIE }>(files.armed.read_once()) };
        see_interrupts(irq);
    });
    external.enable_here(preempt);
    // SAFETY: As above.
    unsafe { csr::set::<{ csr::HIE }>(HIE_SGEIE) };
}

/// Ends guest external interrupts of this hart, whose virtualization is switched off, or which
/// sleeps. Files that vCPUs have stay theirs.
pub(super) fn disable(preempt: &PreemptOff) {
    let Some(external) = GuestExternalIrq::get() else {
        return;
    };
    // SAFETY: Fewer interrupts of the host.
    unsafe { csr::clear::<{ csr::HIE }>(HIE_SGEIE) };
    external.disable_here(preempt);
    with_irqs_saved(|irq| {
        let files = FILES.get(irq);
        let mut delivers = 0;
        for number in FileNumber::of_bits(files.used()) {
            let (eidelivery, eithreshold) = Selected::with(irq, number, |file| {
                (
                    file.read(ImsicReg::EiDelivery),
                    file.read(ImsicReg::EiThreshold),
                )
            });
            delivers |= if eidelivery != 0 { number.bit() } else { 0 };
            if let Some(threshold) = files.threshold(number) {
                threshold.write_once(eithreshold);
            }
        }
        files.delivers.write_once(delivers);
        // SAFETY: As above.
        unsafe { csr::write::<{ csr::HGEIE }>(0) };
    });
}

/// Returns the files of this hart: those that `hgeie` has a bit for, as far as the IMSIC has them.
fn probe() -> u64 {
    // SAFETY: Interrupts are disabled, and the register is set before they are enabled.
    let bits = unsafe {
        csr::write::<{ csr::HGEIE }>(u64::MAX);
        csr::swap::<{ csr::HGEIE }>(0)
    };
    let count = config_of(CpuId::current()).map_or(0, |config| config.nr_guest_files);
    let numbers = 1_u64.checked_shl(count + 1).unwrap_or(0).wrapping_sub(1);
    // Bit 0 stands for no file.
    bits & numbers & !1
}

kernel::sync::global_lock! {
    // SAFETY: `GuestExternalIrq::register()` initializes it, before there is a vCPU.
    unsafe(uninit) static OWNERS: Mutex<()> = ();
}

/// Calls `f` with each vCPU that has a file of this hart, which `f` takes from it. The hart is
/// about to go offline, and this is a thread that stays on it.
pub(crate) fn for_each_owner_here(f: impl Fn(&Vcpu<Riscv>)) {
    // SAFETY: Reading the register has no effect.
    let interrupts_enabled = unsafe { csr::read::<{ csr::SSTATUS }>() } & SSTATUS_SIE != 0;
    if GuestExternalIrq::get().is_none() || !interrupts_enabled {
        // When the machine is suspended, the files stay with their owners. When it is shut down,
        // they do not matter.
        return;
    }
    let _guard = OWNERS.lock();
    with_irqs_saved(|irq| {
        // From here on, nobody takes one.
        let files = FILES.get(irq);
        files.known.write_once(0);
        files.free.write_once(0);
    });
    for number in FileNumber::of_bits(u64::MAX) {
        let owner = FILES
            .get_preempt(&PreemptOff::new())
            .owners
            .get(number.index())
            .map_or(ptr::null(), AccessOnce::read_once);
        // SAFETY: The pointer is null, or that of a vCPU that has not given the file back. It is
        // not going to be destroyed before the lock is released: see `before_destruction()`.
        if let Some(vcpu) = unsafe { owner.as_ref() } {
            f(vcpu);
        }
    }
}

/// Calls `f`, which takes the file from a vCPU that is going to be destroyed, if it has one.
pub(crate) fn before_destruction(f: impl FnOnce()) {
    if GuestExternalIrq::get().is_some() {
        let _guard = OWNERS.lock();
        f();
    }
}

/// Returns the kernel's description of the IMSICs.
fn config() -> Option<&'static bindings::imsic_global_config> {
    // SAFETY: The description is made at boot and stays.
    unsafe { bindings::imsic_get_global_config().as_ref() }
}

/// Returns the kernel's description of the IMSIC of a hart.
fn config_of(cpu: CpuId) -> Option<&'static bindings::imsic_local_config> {
    // SAFETY: There is a copy for each possible CPU, made at boot, which stays.
    unsafe { percpu::instance_of_c(config()?.local, cpu).as_ref() }
}

/// The number of a file of a hart, from 1 to 63.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileNumber(NonZero<u8>);

impl FileNumber {
    fn lowest(files: u64) -> Option<Self> {
        NonZero::new(files.trailing_zeros() as u8 & (BITS as u8 - 1)).map(Self)
    }

    /// Returns the files of these bits.
    fn of_bits(mut bits: u64) -> impl Iterator<Item = Self> {
        bits &= !1;
        core::iter::from_fn(move || {
            let lowest = Self::lowest(bits)?;
            bits &= !lowest.bit();
            Some(lowest)
        })
    }

    const fn bit(self) -> u64 {
        1 << self.0.get()
    }

    fn index(self) -> usize {
        usize::from(self.0.get())
    }

    /// Returns the value of `hstatus.VGEIN` that selects the file.
    pub(crate) fn vgein(self) -> Bounded<u64, 6> {
        Bounded::from_expr(u64::from(self.0.get()) & 0x3f)
    }
}

/// A guest interrupt file that a vCPU has.
///
/// Whoever has one gives it back by [`release`](Self::release).
#[derive(Debug)]
pub(crate) struct GuestFile {
    hart: CpuId,
    number: FileNumber,
    /// Where the kernel has mapped the page that MSIs are written to.
    page: usize,
    /// The physical address of that page.
    phys: u64,
}

impl GuestFile {
    /// Takes a file of a hart, which is empty, for a vCPU. Returns [`None`] if the hart has none
    /// that is free, or is offline. May not be called with interrupts disabled.
    pub(crate) fn claim(hart: CpuId, vcpu: &Vcpu<Riscv>) -> Option<Self> {
        let local = config_of(hart)?;
        let number = smp::on(hart, |irq| {
            let files = FILES.get(irq);
            let number = FileNumber::lowest(files.free.read_once())?;
            files
                .free
                .write_once(files.free.read_once() & !number.bit());
            files.set_owner(number, vcpu);
            disarm_here(irq, number);
            Selected::with(irq, number, Selected::take);
            Some(number)
        })??;
        let offset = number.index() * PAGE_SIZE;
        Some(Self {
            hart,
            number,
            page: local.msi_va as usize + offset,
            phys: local.msi_pa + offset as u64,
        })
    }

    /// Gives the file back, and returns what it held. May not be called with interrupts disabled.
    ///
    /// Nobody may be able to write MSIs to it any more.
    pub(crate) fn release(self) -> Snapshot {
        let number = self.number;
        smp::on(self.hart, |irq| {
            let held = Selected::with(irq, number, Selected::take);
            disarm_here(irq, number);
            let files = FILES.get(irq);
            files.clear_owner(number);
            let known = files.known.read_once();
            files
                .free
                .write_once(files.free.read_once() | number.bit() & known);
            held
        })
        .unwrap_or(Snapshot::EMPTY)
    }

    /// Adds to the file what another one has held: pending interrupts are united, everything else
    /// is replaced. May not be called with interrupts disabled.
    pub(crate) fn add(&self, held: &Snapshot) {
        smp::on(self.hart, |irq| {
            Selected::with(irq, self.number, |file| file.add(held));
        });
    }

    /// Reads a register. May not be called with interrupts disabled.
    pub(crate) fn read(&self, reg: ImsicReg) -> u64 {
        smp::on(self.hart, |irq| {
            Selected::with(irq, self.number, |file| file.read(reg))
        })
        .unwrap_or(0)
    }

    /// Writes a register. May not be called with interrupts disabled.
    pub(crate) fn write(&self, reg: ImsicReg, value: u64) {
        smp::on(self.hart, |irq| {
            Selected::with(irq, self.number, |file| file.swap(reg, value));
        });
    }

    /// Returns the hart that has the file.
    pub(crate) fn hart(&self) -> CpuId {
        self.hart
    }

    /// Returns the number of the file.
    pub(crate) fn number(&self) -> FileNumber {
        self.number
    }

    /// Returns the physical address of the page that MSIs are written to.
    pub(crate) fn phys(&self) -> u64 {
        self.phys
    }

    /// Returns where messages to the file go.
    pub(crate) fn port(&self) -> Port {
        Port {
            hart: self.hart,
            number: self.number,
            page: self.page,
        }
    }
}

/// Where messages to a guest interrupt file go, and its way to wake its owner. Valid until the file
/// is given back.
///
/// Nothing here waits for another hart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Port {
    hart: CpuId,
    number: FileNumber,
    /// As in [`GuestFile`].
    page: usize,
}

impl Port {
    /// Makes an interrupt pending.
    pub(crate) fn send(self, identity: Identity) {
        // SAFETY: The kernel has mapped the page for good. A write to its first word,
        // `seteipnum_le`, makes an interrupt of the file pending, which is a guest's.
        unsafe { bindings::writel(identity.number(), self.page as *mut c_void) };
    }

    /// Returns whether the file has an interrupt for the guest, if this is its hart.
    pub(crate) fn has_interrupt(self, irq: &LocalInterruptDisabled) -> Option<bool> {
        self.is_here(irq).then(|| {
            // SAFETY: Reading the register has no effect. The hart has it, as it has files.
            unsafe { csr::read::<{ csr::HGEIP }>() & self.number.bit() != 0 }
        })
    }

    /// Makes the next interrupt of the file, or one that it has already, wake its owner, if this is
    /// the hart of the file. Returns whether it is.
    pub(crate) fn arm(self, irq: &LocalInterruptDisabled) -> bool {
        let is_here = self.is_here(irq);
        if is_here {
            let armed = &FILES.get(irq).armed;
            armed.write_once(armed.read_once() | self.number.bit());
            // SAFETY: The handler of the interrupt clears the bit.
            unsafe { csr::set::<{ csr::HGEIE }>(self.number.bit()) };
            see_interrupts(irq);
        }
        is_here
    }

    /// Undoes [`arm`](Self::arm), if this is the hart of the file.
    pub(crate) fn disarm(self, irq: &LocalInterruptDisabled) {
        if self.is_here(irq) {
            disarm_here(irq, self.number);
        }
    }

    /// Returns whether the next interrupt wakes the owner. If so, and
    /// [`was_woken`](Self::was_woken) returns `false` afterwards, the owner is going to be kicked.
    pub(crate) fn is_armed(self) -> bool {
        FILES.get_on(self.hart).armed.load(Acquire) & self.number.bit() != 0
    }

    /// Returns whether the file has had an interrupt since it was armed.
    pub(crate) fn was_woken(self) -> bool {
        FILES.get_on(self.hart).woken.load(Acquire) & self.number.bit() != 0
    }

    fn is_here(self, _: &LocalInterruptDisabled) -> bool {
        CpuId::current() == self.hart
    }
}

impl HartFiles {
    /// Returns the files that vCPUs have.
    fn used(&self) -> u64 {
        self.known.read_once() & !self.free.read_once()
    }

    /// Returns the files that have an owner.
    fn owned(&self) -> u64 {
        FileNumber::of_bits(u64::MAX)
            .filter(|number| {
                let owner = self.owners.get(number.index());
                owner.is_some_and(|owner| !owner.read_once().is_null())
            })
            .fold(0, |bits, number| bits | number.bit())
    }

    fn threshold(&self, number: FileNumber) -> Option<&Atomic<u64>> {
        self.thresholds.get(number.index())
    }

    fn set_owner(&self, number: FileNumber, vcpu: &Vcpu<Riscv>) {
        if let Some(owner) = self.owners.get(number.index()) {
            owner.write_once(vcpu);
        }
    }

    fn clear_owner(&self, number: FileNumber) {
        if let Some(owner) = self.owners.get(number.index()) {
            owner.write_once(ptr::null());
        }
    }

    /// Returns the vCPU that has a file of this hart.
    fn owner<'a>(
        &self,
        _: &'a LocalInterruptDisabled,
        number: FileNumber,
    ) -> Option<&'a Vcpu<Riscv>> {
        let owner = self.owners.get(number.index())?.read_once();
        // SAFETY: The pointer is null, or that of a vCPU, which cannot go before it has given the
        // file back. That happens on this hart, and not while interrupts are disabled.
        unsafe { owner.as_ref() }
    }
}

/// Makes interrupts of a file of this hart wake nobody, and forgets that one has.
fn disarm_here(irq: &LocalInterruptDisabled, number: FileNumber) {
    // SAFETY: Fewer interrupts of the host.
    unsafe { csr::clear::<{ csr::HGEIE }>(number.bit()) };
    see_interrupts(irq);
    let files = FILES.get(irq);
    files
        .armed
        .write_once(files.armed.read_once() & !number.bit());
    files
        .woken
        .write_once(files.woken.read_once() & !number.bit());
}

/// Enables again what is enabled in `hgeie`, if that has an interrupt. Called after each change of
/// `hgeie`.
///
/// A hart needs no such call. But QEMU 10 takes no lock when it computes `hip.SGEIP` for a change
/// of `hgeie`, so a message that arrives at that time may interrupt nobody until the next change.
fn see_interrupts(_: &LocalInterruptDisabled) {
    // SAFETY: The hart has the registers, as it has files. `hgeie` stays as it is.
    unsafe {
        let due = csr::read::<{ csr::HGEIP }>() & csr::read::<{ csr::HGEIE }>();
        if due != 0 {
            csr::set::<{ csr::HGEIE }>(due);
        }
    }
}

/// A file of this hart, whose registers `vsireg` accesses.
struct Selected(());

impl Selected {
    /// Selects a file while `f` runs. Whatever guest the hart has the CSRs of finds them as they
    /// were.
    fn with<R>(_: &LocalInterruptDisabled, number: FileNumber, f: impl FnOnce(&Self) -> R) -> R {
        // SAFETY: The hart has the CSRs, as it has files. VGEIN acts on VS-level alone, and no
        // guest runs before both are restored.
        let (hstatus, vsiselect) = unsafe {
            let hstatus = csr::read::<{ csr::HSTATUS }>();
            let selected = Hstatus::from_raw(hstatus).with_vgein(number.vgein());
            csr::write::<{ csr::HSTATUS }>(selected.into_raw());
            (hstatus, csr::read::<{ csr::VSISELECT }>())
        };
        let result = f(&Self(()));
        // SAFETY: These are the values from before.
        unsafe {
            csr::write::<{ csr::VSISELECT }>(vsiselect);
            csr::write::<{ csr::HSTATUS }>(hstatus);
        }
        result
    }

    /// Reads a register of the file.
    fn read(&self, reg: ImsicReg) -> u64 {
        self.at(reg, || {
            // SAFETY: A file is selected, and a register that it has.
            unsafe { csr::read::<{ csr::VSIREG }>() }
        })
    }

    /// Writes a register of the file, and returns what it held.
    fn swap(&self, reg: ImsicReg, value: u64) -> u64 {
        self.at(reg, || {
            // SAFETY: As in `read()`. The file is the guest's.
            unsafe { csr::swap::<{ csr::VSIREG }>(value) }
        })
    }

    /// Sets bits in a register of the file.
    fn set(&self, reg: ImsicReg, bits: u64) {
        self.at(reg, || {
            // SAFETY: As in `swap()`.
            unsafe { csr::set::<{ csr::VSIREG }>(bits) };
            0
        });
    }

    fn at(&self, reg: ImsicReg, f: impl FnOnce() -> u64) -> u64 {
        let Some(siselect) = reg.siselect() else {
            return 0;
        };
        // SAFETY: The register selects what `vsireg` accesses, and nothing else.
        unsafe { csr::write::<{ csr::VSISELECT }>(siselect) };
        f()
    }

    /// Returns the registers that have a bit for each identity of the machine's files.
    fn words() -> impl Iterator<Item = Eix> {
        let last = config().map_or(0, |config| config.nr_guest_ids);
        (0..=last / u64::BITS).take(Eix::COUNT).map(Eix::new)
    }

    /// Returns what the file holds, and empties it.
    fn take(&self) -> Snapshot {
        // First of all, so that the file has no interrupt for its owner.
        let eidelivery = self.swap(ImsicReg::EiDelivery, 0);
        let mut held = Snapshot {
            eidelivery,
            eithreshold: self.swap(ImsicReg::EiThreshold, 0),
            ..Snapshot::EMPTY
        };
        for eix in Self::words() {
            held.eip[eix.index()] = self.swap(ImsicReg::Eip(eix), 0);
            held.eie[eix.index()] = self.swap(ImsicReg::Eie(eix), 0);
        }
        held
    }

    /// Unites pending interrupts, and replaces everything else.
    fn add(&self, held: &Snapshot) {
        for eix in Self::words() {
            // Interrupts may be made pending at the same time.
            self.set(ImsicReg::Eip(eix), held.eip[eix.index()]);
            self.swap(ImsicReg::Eie(eix), held.eie[eix.index()]);
        }
        self.swap(ImsicReg::EiThreshold, held.eithreshold);
        self.swap(ImsicReg::EiDelivery, held.eidelivery);
    }
}
