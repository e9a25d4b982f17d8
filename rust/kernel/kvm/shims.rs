// SPDX-License-Identifier: GPL-2.0

//! The entry points that the core calls, generic over the backend: pointers become references here,
//! and results become errnos.

use super::{
    addr::{
        Gfn,
        GfnRange,
        Gpa, //
    },
    backend::{
        Backend,
        HardwareOps,
        IrqchipOps,
        LinkedBackend,
        MmuOps,
        VcpuOps,
        VmOps, //
    },
    context::{
        NoVcpu,
        PreemptOff, //
    },
    irqchip::Msi,
    memslot::{
        LastStore,
        MemoryChange,
        Memslot, //
    },
    mmu::{
        MmuLocked,
        MmuWriteGuard, //
    },
    perf::PerfCounters,
    timer::VcpuTimer,
    vcpu::{
        LoadPermit,
        LoadedVcpu,
        LockedVcpu,
        NewVcpu,
        Vcpu,
        VcpuId, //
    },
    vcpu_table::VcpuTable,
    vm::Vm,
    vm_lock::VmLock, //
};
use crate::{
    bindings,
    cpu::CpuId,
    prelude::*,
    types::ForeignOwnable,
    uaccess::UserPtr, //
};
use core::cell::Cell;

/// The state of a VM, pinned behind `kvm.arch.backend`.
#[pin_data]
pub struct VmState<B: Backend> {
    pub(super) vcpus: VcpuTable<B>,
    #[pin]
    pub(super) backend: B::Vm,
}

/// The state of a vCPU, pinned behind `kvm_vcpu.arch.backend`.
#[pin_data]
pub struct VcpuState<B: Backend> {
    /// Dropped first: its callback uses the rest.
    #[pin]
    pub(super) timer: VcpuTimer<B>,
    /// Dropped ahead of the rest as well. For the holder of the vCPU's mutex.
    pub(super) perf: PerfCounters<B>,
    #[pin]
    pub(super) shared: B::VcpuShared,
    pub(super) local: B::VcpuLocal,
    /// For the holder of the vCPU's mutex, as `local` is.
    pub(super) last_store: Cell<LastStore>,
}

/// Returns a result as the core expects it: 0, or a negative errno.
#[inline]
pub(super) fn errno(result: Result) -> c_int {
    match result {
        Ok(()) => 0,
        Err(e) => e.to_errno(),
    }
}

// Hardware.

/// # Safety
///
/// Must be called without migration, on the CPU that virtualization is switched on for. No vCPU is
/// loaded on a CPU where it is not on.
#[doc(hidden)]
#[inline]
pub unsafe fn enable_cpu<B: HardwareOps>() -> c_int {
    // SAFETY: By the requirement.
    errno(B::enable_cpu(unsafe { NoVcpu::assume() }))
}

// VMs.

/// # Safety
///
/// `kvm` must point to a VM that the core has set up and shows to nobody else. If the result is 0,
/// [`destroy_vm`] must follow.
#[doc(hidden)]
pub unsafe fn init_vm<B: VmOps + LinkedBackend>(kvm: *mut bindings::kvm, kind: usize) -> c_int {
    let state = <B as VmOps>::create(kind).and_then(|init| {
        KBox::try_pin_init(
            try_pin_init!(VmState::<B> {
                vcpus: VcpuTable::new(),
                backend <- init,
            }),
            GFP_KERNEL_ACCOUNT,
        )
    });
    match state {
        Ok(state) => {
            // SAFETY: `kvm` is valid and nobody else has it yet. `destroy_vm()` takes the state
            // back.
            unsafe { (*kvm).arch.backend = state.into_foreign().cast() };
            0
        }
        Err(e) => e.to_errno(),
    }
}

/// # Safety
///
/// [`init_vm`] must have succeeded for `kvm`, and nobody may use the VM any more.
#[doc(hidden)]
pub unsafe fn destroy_vm<B: VmOps + LinkedBackend>(kvm: *mut bindings::kvm) {
    // SAFETY: `kvm` is valid.
    unsafe { Vm::<B>::from_raw(kvm) }.state().vcpus.clear();
    // SAFETY: `kvm` is valid, and nobody else can reach it any more. vCPUs go first: they use the
    // VM's state.
    unsafe { bindings::kvm_destroy_vcpus(kvm) };
    // SAFETY: As above; this is the pointer that `init_vm()` has made.
    drop(unsafe {
        <Pin<KBox<VmState<B>>> as ForeignOwnable>::from_foreign((*kvm).arch.backend.cast())
    });
}

/// # Safety
///
/// `kvm` must be null or point to a VM for which [`init_vm`] has succeeded.
#[doc(hidden)]
pub unsafe fn check_extension<B: VmOps + LinkedBackend>(
    kvm: *mut bindings::kvm,
    capability: c_long,
) -> c_int {
    let Ok(capability) = u32::try_from(capability) else {
        return 0;
    };
    // SAFETY: `kvm` is null or valid.
    let vm = (!kvm.is_null()).then(|| unsafe { Vm::<B>::from_raw(kvm) });
    B::check_extension(vm, capability)
}

/// # Safety
///
/// [`init_vm`] must have succeeded for `kvm`, and `cap` must be valid for reads.
#[doc(hidden)]
pub unsafe fn enable_cap<B: VmOps + LinkedBackend>(
    kvm: *mut bindings::kvm,
    cap: *mut bindings::kvm_enable_cap,
) -> c_int {
    // SAFETY: Both pointers are valid.
    let (vm, cap) = unsafe { (Vm::<B>::from_raw(kvm), &*cap) };
    errno(B::enable_cap(vm, cap.cap, cap.flags, cap.args))
}

// vCPUs.

/// # Safety
///
/// [`init_vm`] must have succeeded for `kvm`, and this thread must hold the lock of the VM.
#[doc(hidden)]
pub unsafe fn vcpu_precreate<B: LinkedBackend>(kvm: *mut bindings::kvm, id: c_uint) -> c_int {
    // SAFETY: `kvm` is valid.
    let vm = unsafe { Vm::<B>::from_raw(kvm) };
    // SAFETY: By the requirement, the lock is held.
    errno(unsafe { VmLock::assume(vm, |vm| B::precreate(vm, VcpuId(id))) })
}

/// # Safety
///
/// `ptr` must point to a vCPU that the core has set up and shows to nobody else. If the result is
/// 0, [`vcpu_destroy`] must follow.
#[doc(hidden)]
pub unsafe fn vcpu_create<B: LinkedBackend>(ptr: *mut bindings::kvm_vcpu) -> c_int {
    // SAFETY: The core has set up its part and shows the vCPU to nobody else yet.
    let new = unsafe { NewVcpu::<B>::new(ptr) };
    let timer = VcpuTimer::new(&new);
    let perf = PerfCounters::new(&new);
    let state = B::create(&new).and_then(|(shared, local)| {
        KBox::try_pin_init(
            try_pin_init!(VcpuState::<B> {
                timer <- timer,
                perf,
                shared <- shared,
                local,
                last_store: Cell::new(LastStore::NONE),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    });
    match state {
        Ok(state) => {
            // SAFETY: `ptr` is valid. `vcpu_destroy()` takes the state back.
            unsafe { (*ptr).arch.backend = state.into_foreign().cast() };
            // SAFETY: The vCPU is complete, and nobody else can reach it.
            B::created(&unsafe { LockedVcpu::new(Vcpu::from_raw(ptr)) });
            0
        }
        Err(e) => e.to_errno(),
    }
}

/// # Safety
///
/// [`vcpu_create`] must have succeeded for `vcpu`, which can be found by its index from now on
/// until its VM is destroyed.
#[doc(hidden)]
pub unsafe fn vcpu_postcreate<B: LinkedBackend>(vcpu: *mut bindings::kvm_vcpu) {
    // SAFETY: The vCPU is valid.
    let vcpu = unsafe { Vcpu::<B>::from_raw(vcpu) };
    vcpu.vm().state().vcpus.note(vcpu);
    B::postcreate(vcpu);
}

/// # Safety
///
/// [`vcpu_create`] must have succeeded for `vcpu`, and nobody may use the vCPU any more.
#[doc(hidden)]
pub unsafe fn vcpu_destroy<B: LinkedBackend>(vcpu: *mut bindings::kvm_vcpu) {
    // SAFETY: The vCPU is valid.
    B::destroy(unsafe { Vcpu::<B>::from_raw(vcpu) });
    // SAFETY: The vCPU is valid, nobody else can reach it any more, and this is the pointer that
    // `vcpu_create()` has made.
    drop(unsafe {
        <Pin<KBox<VcpuState<B>>> as ForeignOwnable>::from_foreign((*vcpu).arch.backend.cast())
    });
}

/// # Safety
///
/// [`vcpu_create`] must have succeeded for `vcpu`. Preemption must be disabled, `cpu` must be this
/// CPU, and the current thread must hold the vCPU's mutex.
#[doc(hidden)]
#[inline]
pub unsafe fn vcpu_load<B: LinkedBackend>(vcpu: *mut bindings::kvm_vcpu, cpu: c_int) {
    // SAFETY: Called with preemption disabled, by the thread that holds the mutex or on its behalf.
    // The core passes the number of this CPU.
    let (vcpu, preempt, cpu) = unsafe {
        (
            LockedVcpu::<B>::new(Vcpu::from_raw(vcpu)),
            PreemptOff::assume(),
            CpuId::from_i32_unchecked(cpu),
        )
    };
    B::load(&vcpu, cpu, preempt);
    // SAFETY: The vCPU is valid, and this is its owner.
    unsafe { (&raw mut (*vcpu.as_raw()).cpu).write_volatile(cpu.as_u32() as c_int) };
}

/// # Safety
///
/// As for [`vcpu_load`], which must have been called for `vcpu` on this CPU.
#[doc(hidden)]
#[inline]
pub unsafe fn vcpu_put<B: LinkedBackend>(vcpu: *mut bindings::kvm_vcpu) {
    // SAFETY: As in `vcpu_load()`.
    let (vcpu, preempt) = unsafe {
        (
            LockedVcpu::<B>::new(Vcpu::from_raw(vcpu)),
            PreemptOff::assume(),
        )
    };
    // SAFETY: The vCPU is valid, and this is its owner. The core sends interrupts to the CPU that
    // stands there, and takes -1 for none.
    unsafe { (&raw mut (*vcpu.as_raw()).cpu).write_volatile(-1) };
    B::put(&vcpu, preempt);
}

/// # Safety
///
/// [`vcpu_create`] must have succeeded for `vcpu`. This thread must hold its mutex, and must not
/// have loaded it.
#[doc(hidden)]
pub unsafe fn vcpu_run<B: LinkedBackend>(vcpu: *mut bindings::kvm_vcpu) -> c_int {
    // SAFETY: The vCPU is valid.
    let vcpu = unsafe { Vcpu::<B>::from_raw(vcpu) };
    // SAFETY: The core holds the mutex, and has not loaded the vCPU. It loads one by itself only
    // for a thread that has loaded it before.
    let (locked, permit) = unsafe { (LockedVcpu::new(vcpu), LoadPermit::new(vcpu)) };
    errno(B::run(&locked, permit))
}

/// # Safety
///
/// `file` must be that of a vCPU.
unsafe fn vcpu_of_file<'a, B: VcpuOps>(file: *mut bindings::file) -> &'a Vcpu<B> {
    // SAFETY: By the requirement; the file holds a reference to the VM.
    unsafe { Vcpu::from_raw((*file).private_data.cast()) }
}

/// # Safety
///
/// `file` must be that of a vCPU for which [`vcpu_create`] has succeeded. This thread must hold the
/// vCPU's mutex.
#[doc(hidden)]
pub unsafe fn vcpu_ioctl<B: LinkedBackend>(
    file: *mut bindings::file,
    cmd: c_uint,
    arg: c_ulong,
) -> c_long {
    // SAFETY: The file is that of a vCPU whose mutex the core holds.
    let vcpu = unsafe { LockedVcpu::<B>::new(vcpu_of_file(file)) };
    match B::ioctl(&vcpu, cmd, UserPtr::from_addr(arg)) {
        Ok(ret) => ret,
        Err(e) => e.to_errno() as c_long,
    }
}

/// # Safety
///
/// `file` must be that of a vCPU for which [`vcpu_create`] has succeeded.
#[doc(hidden)]
pub unsafe fn vcpu_unlocked_ioctl<B: LinkedBackend>(
    file: *mut bindings::file,
    cmd: c_uint,
    arg: c_ulong,
) -> c_long {
    // SAFETY: The file is that of a vCPU.
    let vcpu = unsafe { vcpu_of_file::<B>(file) };
    match B::unlocked_ioctl(vcpu, cmd, UserPtr::from_addr(arg)) {
        Some(Ok(ret)) => ret,
        Some(Err(e)) => e.to_errno() as c_long,
        None => -(bindings::ENOIOCTLCMD as c_long),
    }
}

/// # Safety
///
/// [`vcpu_create`] must have succeeded for `vcpu`, and this thread must hold its mutex. `state`
/// must be valid for writes.
#[doc(hidden)]
pub unsafe fn vcpu_get_mpstate<B: LinkedBackend>(
    vcpu: *mut bindings::kvm_vcpu,
    state: *mut bindings::kvm_mp_state,
) -> c_int {
    // SAFETY: The vCPU is valid, and the core holds its mutex.
    let vcpu = unsafe { LockedVcpu::<B>::new(Vcpu::from_raw(vcpu)) };
    // SAFETY: `state` is valid for writes.
    unsafe { (*state).mp_state = B::mp_state(&vcpu) };
    0
}

/// # Safety
///
/// [`vcpu_create`] must have succeeded for `vcpu`, and this thread must hold its mutex. `state`
/// must be valid for reads.
#[doc(hidden)]
pub unsafe fn vcpu_set_mpstate<B: LinkedBackend>(
    vcpu: *mut bindings::kvm_vcpu,
    state: *mut bindings::kvm_mp_state,
) -> c_int {
    // SAFETY: The vCPU is valid, and the core holds its mutex; so is `state`.
    let (vcpu, state) = unsafe {
        (
            LockedVcpu::<B>::new(Vcpu::from_raw(vcpu)),
            (*state).mp_state,
        )
    };
    errno(B::set_mp_state(&vcpu, state))
}

/// # Safety
///
/// [`vcpu_create`] must have succeeded for `vcpu`, and this thread must hold its mutex. `debug`
/// must be valid for reads.
#[doc(hidden)]
pub unsafe fn vcpu_set_guest_debug<B: LinkedBackend>(
    vcpu: *mut bindings::kvm_vcpu,
    debug: *mut bindings::kvm_guest_debug,
) -> c_int {
    // SAFETY: The vCPU is valid, and the core holds its mutex; so is `debug`.
    let (vcpu, control) = unsafe { (LockedVcpu::<B>::new(Vcpu::from_raw(vcpu)), (*debug).control) };
    if control & !B::GUEST_DEBUG != 0 {
        return errno(Err(EINVAL));
    }
    let on = control & bindings::KVM_GUESTDBG_ENABLE != 0;
    vcpu.set_guest_debug(if on { control } else { 0 });
    B::guest_debug_changed(&vcpu);
    0
}

/// # Safety
///
/// [`vcpu_create`] must have succeeded for `vcpu`.
#[doc(hidden)]
#[inline]
pub unsafe fn vcpu_runnable<B: LinkedBackend>(vcpu: *mut bindings::kvm_vcpu) -> bool {
    // SAFETY: The vCPU is valid.
    B::runnable(unsafe { Vcpu::from_raw(vcpu) })
}

/// # Safety
///
/// [`vcpu_create`] must have succeeded for `vcpu`.
#[doc(hidden)]
#[inline]
pub unsafe fn vcpu_has_pending_timer<B: LinkedBackend>(vcpu: *mut bindings::kvm_vcpu) -> bool {
    // SAFETY: The vCPU is valid.
    B::has_pending_timer(unsafe { Vcpu::from_raw(vcpu) })
}

/// # Safety
///
/// [`vcpu_create`] must have succeeded for `vcpu`.
#[doc(hidden)]
#[inline]
pub unsafe fn vcpu_in_kernel<B: LinkedBackend>(vcpu: *mut bindings::kvm_vcpu) -> bool {
    // SAFETY: The vCPU is valid.
    B::in_kernel(unsafe { Vcpu::from_raw(vcpu) })
}

/// # Safety
///
/// [`vcpu_create`] must have succeeded for `vcpu`.
#[doc(hidden)]
#[inline]
pub unsafe fn vcpu_ip<B: LinkedBackend>(vcpu: *mut bindings::kvm_vcpu) -> c_ulong {
    // SAFETY: The vCPU is valid.
    B::instruction_pointer(unsafe { Vcpu::from_raw(vcpu) })
}

/// # Safety
///
/// [`vcpu_create`] must have succeeded for `vcpu`.
#[doc(hidden)]
#[inline]
pub unsafe fn vcpu_should_kick(vcpu: *mut bindings::kvm_vcpu) -> bool {
    // SAFETY: The vCPU is valid.
    let mode = unsafe { bindings::kvm_vcpu_exiting_guest_mode(vcpu) };
    mode as c_uint == bindings::IN_GUEST_MODE
}

// Interrupts.

/// # Safety
///
/// `kvm` must be a VM for which [`init_vm`] has succeeded.
#[doc(hidden)]
#[inline]
pub unsafe fn irqchip_in_kernel<B: IrqchipOps + LinkedBackend>(kvm: *mut bindings::kvm) -> bool {
    // SAFETY: By the requirement.
    <B as IrqchipOps>::in_kernel(unsafe { Vm::from_raw(kvm) })
}

/// Handles `KVM_IRQ_LINE` and `KVM_IRQ_LINE_STATUS`. The latter's result is what the former leaves
/// there.
///
/// # Safety
///
/// As for [`irqchip_in_kernel`]. `line` must be valid for reads.
#[doc(hidden)]
pub unsafe fn irq_line<B: IrqchipOps + LinkedBackend>(
    kvm: *mut bindings::kvm,
    line: *mut bindings::kvm_irq_level,
) -> c_int {
    // SAFETY: By the requirements. Each byte of the union is one of the pin.
    let (vm, pin, level) = unsafe {
        (
            Vm::<B>::from_raw(kvm),
            (*line).__bindgen_anon_1.irq,
            (*line).level != 0,
        )
    };
    if !<B as IrqchipOps>::in_kernel(vm) {
        return ENXIO.to_errno();
    }
    errno(B::set_line(vm, pin, level))
}

/// Fills in what is of the architecture in a new entry of the routing table.
///
/// # Safety
///
/// `entry` must be valid for writes, with its type set, and `user` for reads.
#[doc(hidden)]
pub unsafe fn set_routing_entry<B: IrqchipOps + LinkedBackend>(
    entry: *mut bindings::kvm_kernel_irq_routing_entry,
    user: *const bindings::kvm_irq_routing_entry,
) -> c_int {
    // SAFETY: By the requirements.
    let (entry, user) = unsafe { (&mut *entry, &*user) };
    match user.type_ {
        bindings::KVM_IRQ_ROUTING_IRQCHIP => {
            // SAFETY: By the type, which user space chooses; all values are valid.
            let route = unsafe { user.u.irqchip };
            // The core has tables of these sizes.
            if route.irqchip >= bindings::KVM_NR_IRQCHIPS
                || route.pin >= bindings::KVM_IRQCHIP_NUM_PINS
            {
                return EINVAL.to_errno();
            }
            entry.set = Some(set_pin::<B>);
            entry.__bindgen_anon_1.irqchip =
                bindings::kvm_kernel_irq_routing_entry__bindgen_ty_1__bindgen_ty_1 {
                    irqchip: route.irqchip,
                    pin: route.pin,
                };
        }
        bindings::KVM_IRQ_ROUTING_MSI => {
            // SAFETY: As above.
            let (route, devid) = unsafe {
                let msi = user.u.msi;
                (msi, msi.__bindgen_anon_1.devid)
            };
            entry.set = Some(set_msi::<B>);
            entry.__bindgen_anon_1.msi =
                bindings::kvm_kernel_irq_routing_entry__bindgen_ty_1__bindgen_ty_2 {
                    address_lo: route.address_lo,
                    address_hi: route.address_hi,
                    data: route.data,
                    flags: user.flags,
                    devid,
                };
        }
        _ => return EINVAL.to_errno(),
    }
    0
}

/// Sets the level of the pin that an entry of the routing table leads to. What the core calls in
/// that entry.
///
/// # Safety
///
/// As for [`irqchip_in_kernel`]. `entry` must be valid for reads, and lead to a pin.
unsafe extern "C" fn set_pin<B: IrqchipOps + LinkedBackend>(
    entry: *mut bindings::kvm_kernel_irq_routing_entry,
    kvm: *mut bindings::kvm,
    _source: c_int,
    level: c_int,
    _line_status: bool,
) -> c_int {
    // SAFETY: By the requirements.
    let (vm, pin) = unsafe {
        (
            Vm::<B>::from_raw(kvm),
            (*entry).__bindgen_anon_1.irqchip.pin,
        )
    };
    errno(B::set_line(vm, pin, level != 0))
}

/// What the core has for "nothing was delivered" when a message is withdrawn, which it cannot be.
const IGNORED: c_int = -1;

/// Sends the message that an entry of the routing table has. Returns the number of vCPUs that have
/// got it.
///
/// # Safety
///
/// As for [`irqchip_in_kernel`]. `entry` must be valid for reads, and have a message.
#[doc(hidden)]
pub unsafe extern "C" fn set_msi<B: IrqchipOps + LinkedBackend>(
    entry: *mut bindings::kvm_kernel_irq_routing_entry,
    kvm: *mut bindings::kvm,
    _source: c_int,
    level: c_int,
    _line_status: bool,
) -> c_int {
    if level == 0 {
        return IGNORED;
    }
    // SAFETY: By the requirements.
    let (vm, msi) = unsafe { (Vm::<B>::from_raw(kvm), (*entry).__bindgen_anon_1.msi) };
    let msi = Msi {
        address: u64::from(msi.address_hi) << 32 | u64::from(msi.address_lo),
        data: msi.data,
    };
    match B::send_msi(vm, msi) {
        Ok(delivered) => c_int::from(delivered),
        Err(e) => e.to_errno(),
    }
}

/// Delivers the interrupt of an eventfd that has been signaled, by a copy of the only entry that
/// its GSI has in the routing table. If the result is [`EAGAIN`], then the core does it in a work
/// item.
///
/// # Safety
///
/// As for [`irqchip_in_kernel`]. `entry` must be valid for reads; without an entry, its type is 0.
#[doc(hidden)]
pub unsafe fn set_irq_inatomic<B: IrqchipOps + LinkedBackend>(
    entry: *mut bindings::kvm_kernel_irq_routing_entry,
    kvm: *mut bindings::kvm,
    source: c_int,
    level: c_int,
    line_status: bool,
) -> c_int {
    if level == 0 {
        return EAGAIN.to_errno();
    }
    // SAFETY: By the requirements.
    let (vm, kind) = unsafe { (Vm::<B>::from_raw(kvm), (*entry).type_) };
    match kind {
        bindings::KVM_IRQ_ROUTING_MSI => {
            // SAFETY: By the requirements, and by the type.
            unsafe { set_msi::<B>(entry, kvm, source, level, line_status) }
        }
        // An eventfd is a pulse on its wire, else the next one would be no edge. For one that holds
        // the wire high, the work item has to do it: only the core knows which one this is.
        bindings::KVM_IRQ_ROUTING_IRQCHIP if !vm.has_resampling_eventfds() => {
            // SAFETY: By the type.
            let pin = unsafe { (*entry).__bindgen_anon_1.irqchip.pin };
            errno(B::set_line(vm, pin, true).and_then(|()| B::set_line(vm, pin, false)))
        }
        _ => EAGAIN.to_errno(),
    }
}

// Memory.

/// # Safety
///
/// [`init_vm`] must have succeeded for `kvm`, and no vCPU of it may run any more.
#[doc(hidden)]
pub unsafe fn flush_shadow_all<B: MmuOps + LinkedBackend>(kvm: *mut bindings::kvm) {
    // SAFETY: `kvm` is valid.
    B::unmap_all(unsafe { Vm::from_raw(kvm) });
}

/// # Safety
///
/// [`init_vm`] must have succeeded for `kvm`, and `slot` must be one of its memslots.
#[doc(hidden)]
pub unsafe fn flush_shadow_memslot<B: MmuOps + LinkedBackend>(
    kvm: *mut bindings::kvm,
    slot: *mut bindings::kvm_memory_slot,
) {
    // SAFETY: Both are valid.
    let (vm, slot) = unsafe {
        let vm = Vm::<B>::from_raw(kvm);
        (vm, Memslot::from_raw(vm, slot))
    };
    if let Some(slot) = slot {
        B::unmap_slot(vm, &slot);
    }
}

/// # Safety
///
/// [`init_vm`] must have succeeded for `kvm`. `new` must be null or a memslot of it.
#[doc(hidden)]
pub unsafe fn prepare_memory_region<B: MmuOps + LinkedBackend>(
    kvm: *mut bindings::kvm,
    new: *mut bindings::kvm_memory_slot,
    change: bindings::kvm_mr_change,
) -> c_int {
    // SAFETY: `kvm` is valid, and `new` is null or valid.
    let (vm, new) = unsafe {
        let vm = Vm::<B>::from_raw(kvm);
        (vm, Memslot::from_raw(vm, new))
    };
    errno(B::prepare_slot(
        vm,
        new.as_ref(),
        MemoryChange::from_raw(change),
    ))
}

/// # Safety
///
/// [`init_vm`] must have succeeded for `kvm`. `new` must be null or a memslot of it.
#[doc(hidden)]
pub unsafe fn commit_memory_region<B: MmuOps + LinkedBackend>(
    kvm: *mut bindings::kvm,
    new: *const bindings::kvm_memory_slot,
    change: bindings::kvm_mr_change,
) {
    // SAFETY: `kvm` is valid, and `new` is null or valid.
    let (vm, new) = unsafe {
        let vm = Vm::<B>::from_raw(kvm);
        (vm, Memslot::from_raw(vm, new))
    };
    B::commit_slot(vm, new.as_ref(), MemoryChange::from_raw(change));
}

#[inline]
fn gfn_range(range: &bindings::kvm_gfn_range) -> GfnRange {
    Gfn(range.start)..Gfn(range.end)
}

/// # Safety
///
/// [`vcpu_create`] must have succeeded for `vcpu`. This thread must hold its mutex, and have loaded
/// it. `range` must be valid for reads.
#[doc(hidden)]
pub unsafe fn pre_fault_memory<B: MmuOps + VcpuOps + LinkedBackend>(
    vcpu: *mut bindings::kvm_vcpu,
    range: *mut bindings::kvm_pre_fault_memory,
) -> c_long {
    // SAFETY: Both are valid, and the mutex is held.
    let (vcpu, range) = unsafe { (LockedVcpu::new(Vcpu::<B>::from_raw(vcpu)), &*range) };
    // SAFETY: The vCPU is loaded.
    match B::pre_fault(&unsafe { LoadedVcpu::assume(&vcpu) }, Gpa(range.gpa)) {
        Ok(bytes) => bytes.min(range.size) as c_long,
        Err(e) => e.to_errno() as c_long,
    }
}

/// # Safety
///
/// [`init_vm`] must have succeeded for `kvm`. This thread must hold its `mmu_lock` for writing.
/// `range` must be valid for reads.
#[doc(hidden)]
pub unsafe fn unmap_gfn_range<B: MmuOps + LinkedBackend>(
    kvm: *mut bindings::kvm,
    range: *mut bindings::kvm_gfn_range,
) -> bool {
    // SAFETY: Both are valid.
    let (vm, range) = unsafe { (Vm::<B>::from_raw(kvm), &*range) };
    // SAFETY: The core holds the lock for writing.
    let mut mmu = unsafe { MmuWriteGuard::assume(vm) };
    B::unmap_range(&mut mmu, gfn_range(range), range.may_block)
}

/// Calls `f` with the token of the `mmu_lock`, which is taken for reading if the core has not done
/// that.
///
/// # Safety
///
/// This thread must hold the lock for writing, unless `range` says that it does not hold it at all.
unsafe fn with_mmu_locked<B: Backend, R>(
    vm: &Vm<B>,
    range: &bindings::kvm_gfn_range,
    f: impl FnOnce(&MmuLocked<'_, B>) -> R,
) -> R {
    if range.lockless {
        f(&vm.mmu_read_lock())
    } else {
        // SAFETY: The requirement.
        f(&*unsafe { MmuWriteGuard::assume(vm) })
    }
}

/// # Safety
///
/// [`init_vm`] must have succeeded for `kvm`. `range` must be valid for reads. This thread must
/// hold the `mmu_lock` for writing, unless `range` says that it does not hold it at all.
#[doc(hidden)]
pub unsafe fn age_gfn<B: MmuOps + LinkedBackend>(
    kvm: *mut bindings::kvm,
    range: *mut bindings::kvm_gfn_range,
) -> bool {
    // SAFETY: Both are valid.
    let (vm, range) = unsafe { (Vm::<B>::from_raw(kvm), &*range) };
    // SAFETY: The requirement.
    unsafe { with_mmu_locked(vm, range, |mmu| B::age_range(mmu, gfn_range(range))) }
}

/// # Safety
///
/// [`init_vm`] must have succeeded for `kvm`. `range` must be valid for reads. This thread must
/// hold the `mmu_lock` for writing, unless `range` says that it does not hold it at all.
#[doc(hidden)]
pub unsafe fn test_age_gfn<B: MmuOps + LinkedBackend>(
    kvm: *mut bindings::kvm,
    range: *mut bindings::kvm_gfn_range,
) -> bool {
    // SAFETY: Both are valid.
    let (vm, range) = unsafe { (Vm::<B>::from_raw(kvm), &*range) };
    // SAFETY: The requirement.
    unsafe { with_mmu_locked(vm, range, |mmu| B::test_age_range(mmu, gfn_range(range))) }
}

/// # Safety
///
/// [`init_vm`] must have succeeded for `kvm`, and this thread must hold its `mmu_lock` for writing.
/// `slot` must be one of its memslots.
#[doc(hidden)]
pub unsafe fn log_dirty_masked<B: MmuOps + LinkedBackend>(
    kvm: *mut bindings::kvm,
    slot: *mut bindings::kvm_memory_slot,
    gfn_offset: u64,
    mask: c_ulong,
) {
    // SAFETY: Both are valid.
    let (vm, slot) = unsafe {
        let vm = Vm::<B>::from_raw(kvm);
        (vm, Memslot::from_raw(vm, slot))
    };
    if let Some(slot) = slot {
        let base = Gfn(slot.gfns().start.0.wrapping_add(gfn_offset));
        // SAFETY: The core holds the lock for writing.
        B::log_dirty_masked(&mut unsafe { MmuWriteGuard::assume(vm) }, base, mask as u64);
    }
}

/// # Safety
///
/// [`init_vm`] must have succeeded for `kvm`.
#[doc(hidden)]
pub unsafe fn flush_remote_tlbs_range<B: MmuOps + LinkedBackend>(
    kvm: *mut bindings::kvm,
    gfn: u64,
    pages: u64,
) -> c_int {
    // SAFETY: `kvm` is valid.
    let vm = unsafe { Vm::<B>::from_raw(kvm) };
    B::flush_remote_tlbs(vm, Gfn(gfn)..Gfn(gfn.saturating_add(pages)));
    0
}
