// SPDX-License-Identifier: GPL-2.0

//! The KVM backend for RISC-V.
//!
//! A module imports from its own folder and from floors below, never from above:
//!
//! | floor | modules | concern |
//! | --- | --- | --- |
//! | 11 | this file | the module, and one line for each function that the KVM core calls |
//! | 10 | [`run`] | `KVM_RUN` |
//! | 9 | [`sbi`], [`user`] | the firmware that the guest sees; ioctls of user space |
//! | 8 | [`exits`] | what the guest did |
//! | 7 | [`irqchip`] | the interrupt controller of a VM |
//! | 6 | [`vm`] | the state of a VM |
//! | 5 | [`vcpu`] | the state of a vCPU |
//! | 4 | [`mmu`], [`switch`], [`trace`] | the guest's memory; what moves between host and guest |
//! | 3 | [`hart`] | the machine: CSRs, fences, firmware, nested acceleration |
//! | 2 | [`aia`], [`params`] | models of a guest's interrupt controllers; module parameters |
//! | 1 | [`abi`] | formats of specifications and of the uapi |
//!
//! The one exception is [`Riscv`]: the lower modules take a vCPU or a VM of this backend, whose
//! state is made of types from above. That knot is inherent in `Vcpu<B>`, and is tied here, once.
//!
//! See [`Documentation/virt/kvm/riscv/`](srctree/Documentation/virt/kvm/riscv/).

#![deny(unsafe_code)]

pub mod abi;
pub mod aia;
mod exits;
mod hart;
mod irqchip;
pub mod mmu;
mod params;
mod run;
mod sbi;
mod switch;
mod trace;
mod user;
mod vcpu;
mod vm;

use aia::aplic::Level;
use kernel::{
    cpu::{
        nr_cpu_ids,
        CpuId, //
    },
    kvm::{
        backend::{
            Backend,
            HardwareOps,
            IoctlResult,
            IrqchipOps,
            MmuOps,
            MpState,
            VcpuLocal,
            VcpuOps,
            VmOps, //
        },
        DeviceRegistration,
        Gfn,
        GfnRange,
        Gpa,
        LoadPermit,
        LoadedVcpu,
        LockedVcpu,
        MemoryChange,
        Memslot,
        MmuLocked,
        MmuWriteGuard,
        Msi,
        NewVcpu,
        NoVcpu,
        PreemptOff,
        Vcpu,
        VcpuTimerRestart,
        Vm, //
    },
    prelude::*,
    sync::atomic::ordering::Relaxed,
    uaccess::UserPtr, //
};

module! {
    type: KvmRiscv,
    name: "kvm",
    authors: ["The KVM RISC-V Rust developers"],
    description: "KVM backend for RISC-V in Rust",
    license: "GPL",
    params: {
        vmid_bits: u32 {
            default: crate::mmu::vmid::Vmid::MAX_BITS,
            description: "Bits of VMIDs to use at most; 0 does without VMIDs",
        },
    },
}

/// The backend: the type that the abstractions over the KVM core are generic over.
pub(crate) struct Riscv;

impl Backend for Riscv {
    type Vm = vm::VmState;
    type VcpuShared = vcpu::Shared;
    type VcpuLocal = vcpu::Local;
}

// SAFETY: `csrs`, `config`, `isa` and the vector registers in memory change only while the vCPU is
// not loaded. While it is, `activation` and `aia` are accessed with preemption disabled. `csrs_on`
// is for the hooks alone. `csrs_changed` is set while the vCPU is not loaded, and by a hook.
#[allow(unsafe_code)]
unsafe impl VcpuLocal for vcpu::Local {}

kernel::kvm::exports::kvm_hardware_ops!(Riscv);
kernel::kvm::exports::kvm_vm_ops!(Riscv);
kernel::kvm::exports::kvm_irqchip_ops!(Riscv);
kernel::kvm::exports::kvm_vcpu_ops!(Riscv);
kernel::kvm::exports::kvm_mmu_ops!(Riscv);

kernel::kvm::stats::kvm_stats!(
    ecall_exit_stat,
    wfi_exit_stat,
    wrs_exit_stat,
    mmio_exit_user,
    mmio_exit_kernel,
    csr_exit_user,
    csr_exit_kernel,
    signal_exits,
    exits,
    instr_illegal_exits,
    load_misaligned_exits,
    store_misaligned_exits,
    load_access_exits,
    store_access_exits,
);

impl HardwareOps for Riscv {
    fn enable_cpu(no_vcpu: &NoVcpu) -> Result {
        hart::virtualization::enable_cpu(no_vcpu)
    }

    fn disable_cpu() {
        vcpu::aia::evict_all_here();
        hart::virtualization::disable_cpu();
    }
}

impl VmOps for Riscv {
    fn create(_kind: usize) -> Result<impl PinInit<vm::VmState, Error>> {
        vm::VmState::new()
    }

    fn check_extension(vm: Option<&Vm<Self>>, capability: u32) -> i32 {
        user::capability::check_extension(vm, capability)
    }

    fn enable_cap(vm: &Vm<Self>, capability: u32, flags: u32, args: [u64; 4]) -> Result {
        user::capability::enable_cap(vm, capability, flags, args)
    }
}

impl IrqchipOps for Riscv {
    fn in_kernel(vm: &Vm<Self>) -> bool {
        vm.backend().has_irqchip.load(Relaxed)
    }

    fn set_line(vm: &Vm<Self>, pin: u32, level: bool) -> Result {
        let level = if level { Level::High } else { Level::Low };
        irqchip::set_line(vm, pin, level)
    }

    fn send_msi(vm: &Vm<Self>, msi: Msi) -> Result<bool> {
        irqchip::send_msi(vm, msi.address, msi.data)
    }
}

impl VcpuOps for Riscv {
    /// Breakpoints of user space trap to the host. A hart has no single-stepping for a hypervisor.
    const GUEST_DEBUG: u32 = kernel::bindings::KVM_GUESTDBG_ENABLE;

    fn create(_: &NewVcpu<'_, Self>) -> Result<(impl PinInit<vcpu::Shared, Error>, vcpu::Local)> {
        Ok((vcpu::Shared::new(), vcpu::Local::new()?))
    }

    fn created(vcpu: &LockedVcpu<'_, Self>) {
        vcpu::reset(vcpu, 0, [0, 0]);
    }

    fn postcreate(vcpu: &Vcpu<Self>) {
        // The first vCPU boots, and starts the others.
        if vcpu.index() != 0 {
            vcpu::power::stop(vcpu);
        }
    }

    fn destroy(vcpu: &Vcpu<Self>) {
        vcpu::aia::destroy(vcpu);
    }

    fn load(vcpu: &LockedVcpu<'_, Self>, cpu: CpuId, preempt: &PreemptOff) {
        vcpu::load(vcpu, cpu, preempt);
    }

    fn put(vcpu: &LockedVcpu<'_, Self>, preempt: &PreemptOff) {
        vcpu::put(vcpu, preempt);
    }

    fn run(vcpu: &LockedVcpu<'_, Self>, permit: LoadPermit<'_, Self>) -> Result {
        run::run(vcpu, permit)
    }

    fn ioctl(vcpu: &LockedVcpu<'_, Self>, cmd: u32, arg: UserPtr) -> IoctlResult {
        user::ioctl::ioctl(vcpu, cmd, arg)
    }

    fn unlocked_ioctl(vcpu: &Vcpu<Self>, cmd: u32, arg: UserPtr) -> Option<IoctlResult> {
        user::ioctl::unlocked_ioctl(vcpu, cmd, arg)
    }

    fn mp_state(vcpu: &LockedVcpu<'_, Self>) -> MpState {
        user::ioctl::mp_state(vcpu)
    }

    fn set_mp_state(vcpu: &LockedVcpu<'_, Self>, state: MpState) -> Result {
        user::ioctl::set_mp_state(vcpu, state)
    }

    fn guest_debug_changed(vcpu: &LockedVcpu<'_, Self>) {
        vcpu::update_config(vcpu);
    }

    fn runnable(vcpu: &Vcpu<Self>) -> bool {
        let shared = vcpu.shared();
        (shared.interrupts.pending() || vcpu::aia::has_interrupt(vcpu))
            && !shared.power.is_stopped()
    }

    fn has_pending_timer(vcpu: &Vcpu<Self>) -> bool {
        let shared = vcpu.shared();
        shared.interrupts.enabled(hart::csr::VsInterrupt::Timer)
            && shared.timer.expired(&vcpu.vm().backend().time)
    }

    fn in_kernel(vcpu: &Vcpu<Self>) -> bool {
        switch::regs::Hint::of(vcpu).in_kernel
    }

    fn instruction_pointer(vcpu: &Vcpu<Self>) -> usize {
        switch::regs::Hint::of(vcpu).pc.0 as usize
    }

    fn timer_expired(vcpu: &Vcpu<Self>) -> VcpuTimerRestart {
        vcpu::timer::host_timer_expired(vcpu)
    }

    fn counter_overflowed(vcpu: &Vcpu<Self>, index: u32) {
        vcpu::pmu::counter_overflowed(vcpu, index);
    }
}

// SAFETY: Each function that unmaps removes every leaf of its frames from the VM's tree, which is
// the only one that a hart walks for the VM, and fences or asks the core for it.
#[allow(unsafe_code)]
unsafe impl MmuOps for Riscv {
    fn unmap_all(vm: &Vm<Self>) {
        mmu::unmap_all(vm);
    }

    fn unmap_slot(vm: &Vm<Self>, slot: &Memslot<'_>) {
        mmu::unmap_slot(vm, slot);
    }

    fn prepare_slot(vm: &Vm<Self>, new: Option<&Memslot<'_>>, change: MemoryChange) -> Result {
        mmu::prepare_slot(vm, new, change)
    }

    fn commit_slot(vm: &Vm<Self>, new: Option<&Memslot<'_>>, change: MemoryChange) {
        mmu::commit_slot(vm, new, change);
    }

    fn pre_fault(vcpu: &LoadedVcpu<'_, Self>, gpa: Gpa) -> Result<u64> {
        mmu::map::pre_fault(vcpu, gpa)
    }

    fn unmap_range(mmu: &mut MmuWriteGuard<'_, Self>, gfns: GfnRange, may_yield: bool) -> bool {
        mmu::unmap_range(mmu, gfns, may_yield)
    }

    fn age_range(mmu: &MmuLocked<'_, Self>, gfns: GfnRange) -> bool {
        mmu::age_range(mmu, gfns)
    }

    fn test_age_range(mmu: &MmuLocked<'_, Self>, gfns: GfnRange) -> bool {
        mmu::test_age_range(mmu, gfns)
    }

    fn log_dirty_masked(mmu: &mut MmuWriteGuard<'_, Self>, base: Gfn, mask: u64) {
        mmu::log_dirty_masked(mmu, base, mask);
    }

    fn flush_remote_tlbs(vm: &Vm<Self>, gfns: GfnRange) {
        mmu::flush_remote_tlbs(vm, gfns);
    }
}

/// The module, which exists as long as `/dev/kvm` does.
struct KvmRiscv {
    // Dropped in this order, the reverse of that in `init()`.
    _core: kernel::kvm::Registration,
    _aia: Option<DeviceRegistration<Riscv, user::device::Aia>>,
    _guest_external: Option<hart::guest_files::GuestExternalIrq>,
    _vector: Option<switch::vector::FlushCallback>,
    _cpu_pm: Pin<KBox<hart::cpu_pm::CpuPmNotifier>>,
    _nacl: Option<hart::nacl::Nacl>,
}

impl kernel::Module for KvmRiscv {
    fn init(module: &'static ThisModule) -> Result<Self> {
        if !hart::features::host_has(hart::features::letter(b'h')) {
            pr_info!("hypervisor extension not available\n");
            return Err(ENODEV);
        }
        if !hart::firmware::version_at_least(0, 2) {
            pr_info!("require SBI v0.2 or higher\n");
            return Err(ENODEV);
        }
        if !hart::firmware::has_extension(abi::sbi::Standard::Rfence.raw()) {
            pr_info!("require SBI RFENCE extension\n");
            return Err(ENODEV);
        }
        // SAFETY: The registration is a part of the module's state, and the last one.
        #[allow(unsafe_code)]
        let unregistered = unsafe { kernel::kvm::Unregistered::new(module) }?;
        hart::features::init();
        let nacl = hart::nacl::Nacl::probe()?;

        let hart::virtualization::Translation {
            mode,
            vmid_bits,
            satp,
        } = hart::virtualization::probe(unregistered.no_vcpu())?;
        // A reference in Linux 7.2, a value since.
        #[allow(clippy::clone_on_copy)]
        let limit: u32 = module_parameters::vmid_bits.value().clone();
        let vmid_bits = vmid_bits.min(limit);
        hart::guest_config::probe(unregistered.no_vcpu());
        vm::MAX_MODE.populate(mode);
        vm::SATP_SUPPORT.populate(satp);
        mmu::vmid::init(&unregistered, vmid_bits, nr_cpu_ids());

        pr_info!("[rust]: hypervisor extension available\n");
        if nacl.is_some() {
            pr_info!(
                "[rust]: using SBI nested acceleration with {}\n",
                hart::nacl::Features
            );
        }
        pr_info!(
            "[rust]: highest G-stage page table mode is {}\n",
            mode.name()
        );
        pr_info!("[rust]: VMID {} bits available\n", vmid_bits);

        let guest_external = hart::guest_files::GuestExternalIrq::register(&unregistered)?;
        let aia = if hart::features::ssaia() {
            pr_info!(
                "[rust]: AIA available with {} guest external interrupts\n",
                hart::guest_files::count()
            );
            Some(DeviceRegistration::new(&unregistered)?)
        } else {
            None
        };
        let cpu_pm = KBox::pin_init(hart::cpu_pm::CpuPmNotifier::register(), GFP_KERNEL)?;
        let vector = switch::vector::FlushCallback::register();
        Ok(Self {
            _core: unregistered.register()?,
            _aia: aia,
            _guest_external: guest_external,
            _vector: vector,
            _cpu_pm: cpu_pm,
            _nacl: nacl,
        })
    }
}
