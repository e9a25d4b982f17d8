// SPDX-License-Identifier: GPL-2.0

//! A vCPU: its state, and its way on and off a hart.

pub(crate) mod aia;
pub(crate) mod completion;
pub(crate) mod csrs;
pub(crate) mod exception;
pub(crate) mod interrupts;
pub(crate) mod isa;
pub(crate) mod pmu;
pub(crate) mod power;
pub(crate) mod sbi_ext;
pub(crate) mod sta;
pub(crate) mod timer;
pub(crate) mod wait;

use crate::{
    abi::{
        aia::ADDR_UNDEFINED,
        fwft::Fwft,
        one_reg::{
            FwftFeature,
            IsaExtId, //
        }, //
    },
    hart::{
        csr::{
            self,
            ExtState,
            Hstatus,
            Sstatus, //
        },
        features,
        firmware::MachineIds,
        guest_config::{
            self,
            Delegated,
            GuestConfig, //
        },
        guest_csr,
        state, //
    },
    mmu::{
        activate::Activation,
        fence_queue::FenceQueue,
        map::HostLookups, //
    },
    switch::{
        regs::Regs,
        user_csrs::UserCsrs,
        vector::{
            self,
            GuestVector, //
        },
    },
    vcpu::{
        aia::{
            AiaCsrs,
            Imsic, //
        },
        completion::Completion,
        csrs::Csrs,
        interrupts::Interrupts,
        isa::IsaSet,
        pmu::{
            LocalPmu,
            SharedPmu, //
        },
        power::{
            EntryPoint,
            Power, //
        },
        sbi_ext::SbiExtensions,
        sta::StealTime,
        timer::GuestTimer, //
    },
    Riscv, //
};
use core::cell::{
    Cell,
    RefCell, //
};
use kernel::{
    cpu::CpuId,
    kvm::{
        Gfn,
        LockedVcpu,
        MemoryCache,
        PreemptOff, //
    },
    new_spinlock,
    once_box::OnceBox,
    prelude::*,
    sync::{
        atomic::Atomic,
        SpinLock, //
    },
};

/// The part of a vCPU's state that any thread may use.
#[pin_data]
pub(crate) struct Shared {
    /// The guest's interrupts.
    pub(crate) interrupts: Interrupts,
    /// The guest's timer.
    pub(crate) timer: GuestTimer,
    /// Fences that this vCPU has to execute for others.
    #[pin]
    pub(crate) fences: SpinLock<FenceQueue>,
    /// The guest's counters, as far as any thread may use them.
    pub(crate) pmu: SharedPmu,
    /// Whether the guest's vector registers are on the hart.
    pub(crate) vector_on_hart: vector::OnHart,
    /// Where the vCPU's interrupt file is, in the guest's physical memory, or
    /// [`ADDR_UNDEFINED`]. User space sets it before there is one.
    pub(crate) imsic_addr: Atomic<u64>,
    /// The interrupt file, if the interrupt controller of the VM is in the kernel.
    pub(crate) imsic: OnceBox<Imsic>,
    /// Whether the guest's hart is started, and where it starts.
    #[pin]
    pub(crate) power: Power,
}

impl Shared {
    /// Returns an initializer for the state of a new vCPU.
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            interrupts: Interrupts::new(),
            timer: GuestTimer::new(),
            fences <- new_spinlock!(FenceQueue::new()),
            pmu: SharedPmu::new(),
            vector_on_hart: vector::OnHart::new(),
            imsic_addr: Atomic::new(ADDR_UNDEFINED),
            imsic: OnceBox::new(),
            power <- Power::new(),
        })
    }
}

/// The part of a vCPU's state that only the holder of its mutex may use.
pub(crate) struct Local {
    /// The extensions of the instruction set that the guest has.
    pub(crate) isa: Cell<IsaSet>,
    /// The extensions that the guest's SBI has.
    pub(crate) sbi: Cell<SbiExtensions>,
    /// The identity of the machine that the guest's SBI reports.
    pub(crate) machine: Cell<MachineIds>,
    /// Whether the vCPU has been in `KVM_RUN`. From then on, its extensions cannot be changed.
    pub(crate) has_run: Cell<bool>,
    /// What the next `KVM_RUN` completes.
    pub(crate) completion: Cell<Completion>,
    /// Spare pages for page tables.
    pub(crate) cache: RefCell<MemoryCache>,
    /// Whether faults look for their pages in the host's page table.
    pub(crate) host_lookups: HostLookups,
    /// The frame of the last fault of the guest that found nothing to change.
    pub(crate) spurious: Cell<Option<Gfn>>,
    /// The guest's CSRs while the vCPU is not loaded.
    pub(crate) csrs: Cell<Csrs>,
    /// The guest's CSRs of the AIA. What the guest itself changes is valid only while the vCPU is
    /// not loaded.
    pub(crate) aia: Cell<AiaCsrs>,
    /// The guest's values of the CSRs that are swapped at each entry and exit.
    pub(crate) user_csrs: Cell<UserCsrs>,
    /// The guest's `ssp`, which is swapped like those.
    pub(crate) ssp: Cell<u64>,
    /// What the guest's kernel has set of `config`.
    pub(crate) fwft: Cell<Fwft>,
    /// The steal time that the guest sees.
    pub(crate) steal: Cell<StealTime>,
    /// The guest's counters.
    pub(crate) pmu: LocalPmu,
    /// What the guest may do by itself.
    pub(crate) config: Cell<GuestConfig>,
    /// Whether `csrs` or `config` differ from what the vCPU has last left on a hart.
    pub(crate) csrs_changed: Cell<bool>,
    /// How far the hart that the vCPU is loaded on translates for it.
    pub(crate) activation: Activation,
    /// The guest's vector registers in memory.
    pub(crate) vector: GuestVector,
    /// The CPU that the vCPU has last been loaded on, which may still have its CSRs.
    csrs_on: Cell<Option<u32>>,
}

impl Local {
    pub(crate) fn new() -> Result<Self> {
        let isa = IsaSet::of_host();
        Ok(Self {
            isa: Cell::new(isa),
            sbi: Cell::new(SbiExtensions::new()),
            machine: Cell::new(MachineIds::of_host()),
            has_run: Cell::new(false),
            completion: Cell::new(Completion::None),
            cache: RefCell::new(MemoryCache::new()),
            host_lookups: HostLookups::new(),
            spurious: Cell::new(None),
            csrs: Cell::new(Csrs::RESET),
            aia: Cell::new(AiaCsrs::RESET),
            user_csrs: Cell::new(UserCsrs::RESET),
            ssp: Cell::new(0),
            fwft: Cell::new(Fwft::NEW),
            steal: Cell::new(StealTime::OFF),
            pmu: LocalPmu::new(),
            config: Cell::new(config(isa, &Fwft::NEW, true)),
            csrs_changed: Cell::new(true),
            activation: Activation::new(),
            vector: GuestVector::new()?,
            csrs_on: Cell::new(None),
        })
    }
}

fn config(isa: IsaSet, fwft: &Fwft, breakpoints: bool) -> GuestConfig {
    let delegated = Delegated {
        breakpoints,
        misaligned: fwft.is_on(FwftFeature::MisalignedDeleg),
    };
    GuestConfig::new(isa.henvcfg(fwft), isa.hstateen0(), &delegated)
}

/// Returns whether the guest has a firmware feature, unless user space has taken it away.
pub(crate) fn supports_feature(vcpu: &LockedVcpu<'_, Riscv>, feature: FwftFeature) -> bool {
    let isa = vcpu.local().isa.get();
    guest_config::choices().supports(feature, |ext| isa.has(ext))
}

/// Recomputes `hedeleg`, `henvcfg` and `hstateen0` from the guest's ISA, from what its kernel has
/// set of them, and from guest debug.
pub(crate) fn update_config(vcpu: &LockedVcpu<'_, Riscv>) {
    let local = vcpu.local();
    let isa = local.isa.get();
    let fwft = local.fwft.get();
    local.config.set(config(isa, &fwft, !vcpu.guest_debug()));
    local.csrs_changed.set(true);
}

/// Sets the guest's floating-point and vector units to their state after a reset: initial if the
/// guest has the unit, off if not.
pub(crate) fn reset_units(vcpu: &LockedVcpu<'_, Riscv>) {
    let regs = Regs::of(vcpu);
    let isa = vcpu.local().isa.get();
    let initial = |there| {
        if there {
            ExtState::Initial
        } else {
            ExtState::Off
        }
    };
    let sstatus = regs.sstatus();
    regs.set_sstatus(
        sstatus
            .with_fs(initial(isa.fp().is_some()))
            .with_vs(initial(isa.has(IsaExtId::V))),
    );
}

/// Does the part of a [`reset`] that may sleep, and drops what others have requested from the vCPU.
pub(crate) fn prepare_reset(vcpu: &LockedVcpu<'_, Riscv>) {
    let shared = vcpu.shared();
    pmu::reset(vcpu);
    // This lowers the timer's interrupt, because the timer may have expired after all interrupts
    // were lowered.
    timer::stop(vcpu);
    // `reset()` makes the next entry fence everything, including what the queue holds.
    shared.fences.lock().clear();
}

/// Sets a vCPU that is not loaded to its state after a reset, in S-mode at address `pc`.
/// [`prepare_reset`] must have come first, and the interrupts must have been lowered.
///
/// `args` are the values of `a0` and `a1` that a started hart finds (SBI, "Function: HART start").
pub(crate) fn reset(vcpu: &LockedVcpu<'_, Riscv>, pc: u64, args: [u64; 2]) {
    let local = vcpu.local();
    let shared = vcpu.shared();
    let regs = Regs::of(vcpu);

    let vgein = regs.hstatus().vgein();
    regs.clear();
    regs.set_sepc(pc);
    for (n, value) in (10..).zip(args) {
        regs.set_gpr(crate::abi::insn::Gpr::new(n), value);
    }
    // SRET enters VS-mode, with the host's interrupts enabled. WFI traps.
    regs.set_sstatus(Sstatus::from_raw(0).with_spp(true).with_spie(true));
    regs.set_hstatus(
        Hstatus::from_raw(0)
            .with_spv(true)
            .with_spvp(true)
            // The interrupt file stays.
            .with_vgein(vgein)
            .with_vtw(true),
    );
    reset_units(vcpu);
    vector::reset(vcpu);

    // Whoever resets the vCPU has lowered the interrupts; some may have been raised since then.
    let hvip = shared.interrupts.apply_changes(local.csrs.get().hvip);
    shared.interrupts.snapshot(hvip, 0);
    local.csrs.set(Csrs {
        hvip,
        ..Csrs::RESET
    });
    local.aia.set(AiaCsrs::RESET);
    local.user_csrs.set(UserCsrs::RESET);
    local.ssp.set(0);
    local.fwft.set(local.fwft.get().after_reset());
    local.steal.set(StealTime::OFF);
    update_config(vcpu);
    local.completion.set(Completion::None);
    shared.timer.reset();
    local.activation.reset();
}

/// Returns where the hart of a vCPU begins, if it was started and the vCPU has not been reset for
/// that yet. Then the caller must have the vCPU [`begin`] there. May sleep.
pub(crate) fn take_start(vcpu: &LockedVcpu<'_, Riscv>) -> Option<EntryPoint> {
    let entry = power::take_start(vcpu)?;
    prepare_reset(vcpu);
    Some(entry)
}

/// Resets a vCPU that is not loaded, to begin at `entry`, which [`take_start`] has returned.
pub(crate) fn begin(vcpu: &LockedVcpu<'_, Riscv>, entry: EntryPoint) {
    reset(vcpu, entry.pc, entry.args);
}

/// Lets a vCPU that is not loaded begin, if its hart was started. May sleep.
///
/// User space calls this before it accesses a register: the hart is started from the call of the
/// other hart on, and what user space reads must be the hart's state, not that of its former life.
pub(crate) fn begin_if_started(vcpu: &LockedVcpu<'_, Riscv>) {
    if let Some(entry) = take_start(vcpu) {
        begin(vcpu, entry);
    }
}

/// Loads the guest's state on this hart.
pub(crate) fn load(vcpu: &LockedVcpu<'_, Riscv>, cpu: CpuId, preempt: &PreemptOff) {
    let local = vcpu.local();
    let shared = vcpu.shared();
    let vm = vcpu.vm().backend();

    // The CSRs need no load if this vCPU was loaded here last, and has been nowhere else since.
    let cpu = cpu.as_u32();
    let stayed = local.csrs_on.replace(Some(cpu)) == Some(cpu);
    if !stayed || !state::owns_csrs(preempt, vcpu) || local.csrs_changed.get() {
        state::set_csr_owner(preempt, vcpu);
        local.csrs_changed.set(false);
        local.activation.end(preempt);
        local.config.get().load(preempt);
        local.csrs.get().load(preempt);
        if features::ssaia() {
            // Without the AIA, the guest gets zeroes: a hart without Smstateen cannot keep it from
            // reading what another guest has left there.
            local.aia.get().load(preempt);
            shared
                .interrupts
                .load_hvictl(preempt, local.csrs.get().hvip);
        }
    }
    aia::loaded(vcpu, cpu, preempt);
    sta::loaded(vcpu);
    shared.timer.load(preempt, &vm.time);
    local.activation.loaded(&vm.tlb_owners, cpu, vcpu.index());
    Regs::of(vcpu).load_fp(preempt, local.isa.get().fp());
}

/// Takes the guest's state off this hart.
pub(crate) fn put(vcpu: &LockedVcpu<'_, Riscv>, preempt: &PreemptOff) {
    let local = vcpu.local();
    let shared = vcpu.shared();
    let regs = Regs::of(vcpu);

    let dirty = regs.sstatus().fs() == ExtState::Dirty;
    regs.put_fp(preempt, local.isa.get().fp().filter(|_| dirty));
    if dirty {
        regs.set_sstatus(regs.sstatus().with_fs(ExtState::Clean));
    }
    vector::put(&vcpu.as_running(), preempt);
    let csrs = Csrs::read(preempt);
    local.csrs.set(csrs);
    if features::ssaia() && local.isa.get().has(IsaExtId::Ssaia) {
        let mut csrs = local.aia.get();
        csrs.read(preempt);
        local.aia.set(csrs);
    }
    aia::put(vcpu, preempt);
    local.activation.put(preempt);
    shared.interrupts.snapshot(csrs.hvip, csrs.vsie);
    // `hvip` and `vsie` are parts of `mip` and `mie`, so that an interrupt which is pending and
    // enabled there ends every WFI of the host on this hart.
    let awake = csr::vsip_to_hvip(csrs.vsie) & csrs.hvip != 0;
    if awake {
        guest_csr::write::<{ csr::VSIE }>(preempt, 0);
        local.csrs_changed.set(true);
    }
    if shared.timer.put(preempt) || awake {
        guest_csr::commit(preempt);
    }
}
