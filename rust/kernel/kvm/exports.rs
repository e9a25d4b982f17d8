// SPDX-License-Identifier: GPL-2.0

//! The `extern "C"` entry points of a backend: one macro for each trait.
//!
//! `#[export]` checks every signature against the prototype in the C header.

/// Emits the entry points of [`HardwareOps`](super::backend::HardwareOps).
#[macro_export]
macro_rules! kvm_hardware_ops {
    ($backend:ty) => {
        const _: () = {
            use $crate::{
                kvm::{
                    backend::HardwareOps,
                    shims, //
                },
                prelude::*, //
            };

            #[export]
            unsafe extern "C" fn kvm_arch_enable_virtualization_cpu() -> c_int {
                // SAFETY: The core switches virtualization on for the CPU that it calls this on.
                unsafe { shims::enable_cpu::<$backend>() }
            }

            #[export]
            unsafe extern "C" fn kvm_arch_disable_virtualization_cpu() {
                <$backend as HardwareOps>::disable_cpu();
            }
        };
    };
}
pub use kvm_hardware_ops;

/// Emits the entry points of [`VmOps`](super::backend::VmOps), and those of VMs that no backend
/// implements.
#[macro_export]
macro_rules! kvm_vm_ops {
    ($backend:ty) => {
        const _: () = {
            use $crate::{
                bindings,
                kvm::shims,
                prelude::*, //
            };

            #[export]
            unsafe extern "C" fn kvm_arch_init_vm(kvm: *mut bindings::kvm, kind: c_ulong) -> c_int {
                // SAFETY: The core is creating the VM, and destroys it if this succeeds.
                unsafe { shims::init_vm::<$backend>(kvm, kind) }
            }

            #[export]
            unsafe extern "C" fn kvm_arch_destroy_vm(kvm: *mut bindings::kvm) {
                // SAFETY: The core destroys a VM that it has created, when nobody uses it any more.
                unsafe { shims::destroy_vm::<$backend>(kvm) }
            }

            #[export]
            unsafe extern "C" fn kvm_vm_ioctl_check_extension(
                kvm: *mut bindings::kvm,
                capability: c_long,
            ) -> c_int {
                // SAFETY: The core passes a VM that it has created, or null for `/dev/kvm`.
                unsafe { shims::check_extension::<$backend>(kvm, capability) }
            }

            #[export]
            unsafe extern "C" fn kvm_vm_ioctl_enable_cap(
                kvm: *mut bindings::kvm,
                cap: *mut bindings::kvm_enable_cap,
            ) -> c_int {
                // SAFETY: The core passes a VM that it has created, and a copy of the argument of
                // the ioctl.
                unsafe { shims::enable_cap::<$backend>(kvm, cap) }
            }

            #[export]
            unsafe extern "C" fn kvm_arch_vm_ioctl(
                _file: *mut bindings::file,
                _cmd: c_uint,
                _arg: c_ulong,
            ) -> c_int {
                EINVAL.to_errno()
            }

            #[export]
            unsafe extern "C" fn kvm_arch_dev_ioctl(
                _file: *mut bindings::file,
                _cmd: c_uint,
                _arg: c_ulong,
            ) -> c_long {
                EINVAL.to_errno() as c_long
            }
        };
    };
}
pub use kvm_vm_ops;

/// Emits the entry points of [`IrqchipOps`](super::backend::IrqchipOps).
#[macro_export]
macro_rules! kvm_irqchip_ops {
    ($backend:ty) => {
        const _: () = {
            use $crate::{
                bindings,
                kvm::shims,
                prelude::*, //
            };

            #[export]
            unsafe extern "C" fn kvm_arch_irqchip_in_kernel(kvm: *mut bindings::kvm) -> bool {
                // SAFETY: The core passes a VM that it has created.
                unsafe { shims::irqchip_in_kernel::<$backend>(kvm) }
            }

            #[export]
            unsafe extern "C" fn kvm_vm_ioctl_irq_line(
                kvm: *mut bindings::kvm,
                line: *mut bindings::kvm_irq_level,
                _line_status: bool,
            ) -> c_int {
                // SAFETY: The core passes a VM that it has created, and its own copy of the
                // argument.
                unsafe { shims::irq_line::<$backend>(kvm, line) }
            }

            #[export]
            unsafe extern "C" fn kvm_arch_can_set_irq_routing(kvm: *mut bindings::kvm) -> bool {
                // SAFETY: The core passes a VM that it has created.
                unsafe { shims::irqchip_in_kernel::<$backend>(kvm) }
            }

            #[export]
            unsafe extern "C" fn kvm_set_routing_entry(
                _kvm: *mut bindings::kvm,
                entry: *mut bindings::kvm_kernel_irq_routing_entry,
                user: *const bindings::kvm_irq_routing_entry,
            ) -> c_int {
                // SAFETY: The core passes its own copy of the argument, and the entry that it
                // makes of it.
                unsafe { shims::set_routing_entry::<$backend>(entry, user) }
            }

            #[export]
            unsafe extern "C" fn kvm_set_msi(
                entry: *mut bindings::kvm_kernel_irq_routing_entry,
                kvm: *mut bindings::kvm,
                source: c_int,
                level: c_int,
                line_status: bool,
            ) -> c_int {
                // SAFETY: The core passes a VM that it has created, with an interrupt controller,
                // and an entry with a message.
                unsafe { shims::set_msi::<$backend>(entry, kvm, source, level, line_status) }
            }

            #[export]
            unsafe extern "C" fn kvm_arch_set_irq_inatomic(
                entry: *mut bindings::kvm_kernel_irq_routing_entry,
                kvm: *mut bindings::kvm,
                source: c_int,
                level: c_int,
                line_status: bool,
            ) -> c_int {
                // SAFETY: The core passes a VM that it has created, and a copy of an entry of its
                // routing table, or one without a type.
                unsafe {
                    shims::set_irq_inatomic::<$backend>(entry, kvm, source, level, line_status)
                }
            }
        };
    };
}
pub use kvm_irqchip_ops;

/// Emits the entry points of [`VcpuOps`](super::backend::VcpuOps), and refuses the ioctls for
/// registers in bulk, whose structures are empty where there is `KVM_GET_ONE_REG`.
#[macro_export]
macro_rules! kvm_vcpu_ops {
    ($backend:ty) => {
        const _: () = {
            use $crate::{
                bindings,
                kvm::shims,
                prelude::*, //
            };

            // SAFETY: The entry points below make all vCPUs, and are emitted here.
            unsafe impl $crate::kvm::backend::LinkedBackend for $backend {}

            #[export]
            unsafe extern "C" fn kvm_arch_vcpu_precreate(
                kvm: *mut bindings::kvm,
                id: c_uint,
            ) -> c_int {
                // SAFETY: The core passes a VM that it has created, and whose lock it holds.
                unsafe { shims::vcpu_precreate::<$backend>(kvm, id) }
            }

            #[export]
            unsafe extern "C" fn kvm_arch_vcpu_create(vcpu: *mut bindings::kvm_vcpu) -> c_int {
                // SAFETY: The core is creating the vCPU, and destroys it if this succeeds.
                unsafe { shims::vcpu_create::<$backend>(vcpu) }
            }

            #[export]
            unsafe extern "C" fn kvm_arch_vcpu_postcreate(vcpu: *mut bindings::kvm_vcpu) {
                // SAFETY: The core has created the vCPU, and destroys it when the VM goes.
                unsafe { shims::vcpu_postcreate::<$backend>(vcpu) }
            }

            #[export]
            unsafe extern "C" fn kvm_arch_vcpu_destroy(vcpu: *mut bindings::kvm_vcpu) {
                // SAFETY: The core destroys a vCPU that it has created, when nobody uses it any
                // more.
                unsafe { shims::vcpu_destroy::<$backend>(vcpu) }
            }

            #[export]
            unsafe extern "C" fn kvm_arch_vcpu_load(vcpu: *mut bindings::kvm_vcpu, cpu: c_int) {
                // SAFETY: The core calls this with preemption disabled for the thread that holds
                // the mutex, on its CPU.
                unsafe { shims::vcpu_load::<$backend>(vcpu, cpu) }
            }

            #[export]
            unsafe extern "C" fn kvm_arch_vcpu_put(vcpu: *mut bindings::kvm_vcpu) {
                // SAFETY: The core calls this with preemption disabled for the thread that holds
                // the mutex, on its CPU.
                unsafe { shims::vcpu_put::<$backend>(vcpu) }
            }

            #[export]
            unsafe extern "C" fn kvm_arch_vcpu_ioctl_run(vcpu: *mut bindings::kvm_vcpu) -> c_int {
                // SAFETY: The core holds the vCPU's mutex during the ioctl, and does not load the
                // vCPU itself.
                unsafe { shims::vcpu_run::<$backend>(vcpu) }
            }

            #[export]
            unsafe extern "C" fn kvm_arch_vcpu_ioctl(
                file: *mut bindings::file,
                cmd: c_uint,
                arg: c_ulong,
            ) -> c_long {
                // SAFETY: The core passes the file of a vCPU, whose mutex it holds during the
                // ioctl.
                unsafe { shims::vcpu_ioctl::<$backend>(file, cmd, arg) }
            }

            #[export]
            unsafe extern "C" fn kvm_arch_vcpu_unlocked_ioctl(
                file: *mut bindings::file,
                cmd: c_uint,
                arg: c_ulong,
            ) -> c_long {
                // SAFETY: The core passes the file of a vCPU.
                unsafe { shims::vcpu_unlocked_ioctl::<$backend>(file, cmd, arg) }
            }

            #[export]
            unsafe extern "C" fn kvm_arch_vcpu_ioctl_get_mpstate(
                vcpu: *mut bindings::kvm_vcpu,
                state: *mut bindings::kvm_mp_state,
            ) -> c_int {
                // SAFETY: The core holds the vCPU's mutex, and passes its own copy of the argument.
                unsafe { shims::vcpu_get_mpstate::<$backend>(vcpu, state) }
            }

            #[export]
            unsafe extern "C" fn kvm_arch_vcpu_ioctl_set_mpstate(
                vcpu: *mut bindings::kvm_vcpu,
                state: *mut bindings::kvm_mp_state,
            ) -> c_int {
                // SAFETY: The core holds the vCPU's mutex, and passes its own copy of the argument.
                unsafe { shims::vcpu_set_mpstate::<$backend>(vcpu, state) }
            }

            #[export]
            unsafe extern "C" fn kvm_arch_vcpu_ioctl_set_guest_debug(
                vcpu: *mut bindings::kvm_vcpu,
                debug: *mut bindings::kvm_guest_debug,
            ) -> c_int {
                // SAFETY: The core holds the vCPU's mutex, and passes its own copy of the argument.
                unsafe { shims::vcpu_set_guest_debug::<$backend>(vcpu, debug) }
            }

            #[export]
            unsafe extern "C" fn kvm_arch_vcpu_runnable(vcpu: *mut bindings::kvm_vcpu) -> c_int {
                // SAFETY: The core passes a vCPU that it has created.
                c_int::from(unsafe { shims::vcpu_runnable::<$backend>(vcpu) })
            }

            #[export]
            unsafe extern "C" fn kvm_cpu_has_pending_timer(vcpu: *mut bindings::kvm_vcpu) -> c_int {
                // SAFETY: The core passes a vCPU that it has created.
                c_int::from(unsafe { shims::vcpu_has_pending_timer::<$backend>(vcpu) })
            }

            #[export]
            unsafe extern "C" fn kvm_arch_vcpu_should_kick(vcpu: *mut bindings::kvm_vcpu) -> c_int {
                // SAFETY: The core passes a vCPU that it has created.
                c_int::from(unsafe { shims::vcpu_should_kick(vcpu) })
            }

            #[export]
            unsafe extern "C" fn kvm_arch_vcpu_in_kernel(vcpu: *mut bindings::kvm_vcpu) -> bool {
                // SAFETY: The core passes a vCPU that it has created.
                unsafe { shims::vcpu_in_kernel::<$backend>(vcpu) }
            }

            #[cfg(CONFIG_GUEST_PERF_EVENTS)]
            #[export]
            unsafe extern "C" fn kvm_arch_vcpu_get_ip(vcpu: *mut bindings::kvm_vcpu) -> c_ulong {
                // SAFETY: The core passes a vCPU that it has created.
                unsafe { shims::vcpu_ip::<$backend>(vcpu) }
            }

            #[export]
            unsafe extern "C" fn kvm_arch_vcpu_fault(
                _vcpu: *mut bindings::kvm_vcpu,
                _fault: *mut bindings::vm_fault,
            ) -> bindings::vm_fault_t {
                bindings::vm_fault_reason_VM_FAULT_SIGBUS as bindings::vm_fault_t
            }

            #[export]
            unsafe extern "C" fn kvm_arch_vcpu_ioctl_get_regs(
                _vcpu: *mut bindings::kvm_vcpu,
                _regs: *mut bindings::kvm_regs,
            ) -> c_int {
                EINVAL.to_errno()
            }

            #[export]
            unsafe extern "C" fn kvm_arch_vcpu_ioctl_set_regs(
                _vcpu: *mut bindings::kvm_vcpu,
                _regs: *mut bindings::kvm_regs,
            ) -> c_int {
                EINVAL.to_errno()
            }

            #[export]
            unsafe extern "C" fn kvm_arch_vcpu_ioctl_get_sregs(
                _vcpu: *mut bindings::kvm_vcpu,
                _sregs: *mut bindings::kvm_sregs,
            ) -> c_int {
                EINVAL.to_errno()
            }

            #[export]
            unsafe extern "C" fn kvm_arch_vcpu_ioctl_set_sregs(
                _vcpu: *mut bindings::kvm_vcpu,
                _sregs: *mut bindings::kvm_sregs,
            ) -> c_int {
                EINVAL.to_errno()
            }

            #[export]
            unsafe extern "C" fn kvm_arch_vcpu_ioctl_get_fpu(
                _vcpu: *mut bindings::kvm_vcpu,
                _fpu: *mut bindings::kvm_fpu,
            ) -> c_int {
                EINVAL.to_errno()
            }

            #[export]
            unsafe extern "C" fn kvm_arch_vcpu_ioctl_set_fpu(
                _vcpu: *mut bindings::kvm_vcpu,
                _fpu: *mut bindings::kvm_fpu,
            ) -> c_int {
                EINVAL.to_errno()
            }

            #[export]
            unsafe extern "C" fn kvm_arch_vcpu_ioctl_translate(
                _vcpu: *mut bindings::kvm_vcpu,
                _translation: *mut bindings::kvm_translation,
            ) -> c_int {
                EINVAL.to_errno()
            }
        };
    };
}
pub use kvm_vcpu_ops;

/// Emits the entry points of [`MmuOps`](super::backend::MmuOps).
#[macro_export]
macro_rules! kvm_mmu_ops {
    ($backend:ty) => {
        const _: () = {
            use $crate::{
                bindings,
                kvm::shims,
                prelude::*, //
            };

            #[export]
            unsafe extern "C" fn kvm_arch_flush_shadow_all(kvm: *mut bindings::kvm) {
                // SAFETY: The core passes a VM whose vCPUs do not run any more.
                unsafe { shims::flush_shadow_all::<$backend>(kvm) }
            }

            #[export]
            unsafe extern "C" fn kvm_arch_flush_shadow_memslot(
                kvm: *mut bindings::kvm,
                slot: *mut bindings::kvm_memory_slot,
            ) {
                // SAFETY: The core passes a VM that it has created, and a memslot of it or null.
                unsafe { shims::flush_shadow_memslot::<$backend>(kvm, slot) }
            }

            #[export]
            unsafe extern "C" fn kvm_arch_prepare_memory_region(
                kvm: *mut bindings::kvm,
                _old: *const bindings::kvm_memory_slot,
                new: *mut bindings::kvm_memory_slot,
                change: bindings::kvm_mr_change,
            ) -> c_int {
                // SAFETY: The core passes a VM that it has created, and a memslot of it or null.
                unsafe { shims::prepare_memory_region::<$backend>(kvm, new, change) }
            }

            #[export]
            unsafe extern "C" fn kvm_arch_commit_memory_region(
                kvm: *mut bindings::kvm,
                _old: *mut bindings::kvm_memory_slot,
                new: *const bindings::kvm_memory_slot,
                change: bindings::kvm_mr_change,
            ) {
                // SAFETY: The core passes a VM that it has created, and a memslot of it or null.
                unsafe { shims::commit_memory_region::<$backend>(kvm, new, change) }
            }

            #[export]
            unsafe extern "C" fn kvm_arch_free_memslot(
                _kvm: *mut bindings::kvm,
                _slot: *mut bindings::kvm_memory_slot,
            ) {
            }

            #[export]
            unsafe extern "C" fn kvm_arch_memslots_updated(_kvm: *mut bindings::kvm, _gen: u64) {}

            #[export]
            unsafe extern "C" fn kvm_arch_sync_dirty_log(
                _kvm: *mut bindings::kvm,
                _slot: *mut bindings::kvm_memory_slot,
            ) {
            }

            #[export]
            unsafe extern "C" fn kvm_arch_vcpu_pre_fault_memory(
                vcpu: *mut bindings::kvm_vcpu,
                range: *mut bindings::kvm_pre_fault_memory,
            ) -> c_long {
                // SAFETY: The core passes a vCPU whose mutex it holds, and which it has loaded.
                unsafe { shims::pre_fault_memory::<$backend>(vcpu, range) }
            }

            #[export]
            unsafe extern "C" fn kvm_unmap_gfn_range(
                kvm: *mut bindings::kvm,
                range: *mut bindings::kvm_gfn_range,
            ) -> bool {
                // SAFETY: The core holds `mmu_lock` of the VM for writing, and passes its own
                // range.
                unsafe { shims::unmap_gfn_range::<$backend>(kvm, range) }
            }

            #[export]
            unsafe extern "C" fn kvm_age_gfn(
                kvm: *mut bindings::kvm,
                range: *mut bindings::kvm_gfn_range,
            ) -> bool {
                // SAFETY: The core holds `mmu_lock` of the VM for writing, and passes its own
                // range.
                unsafe { shims::age_gfn::<$backend>(kvm, range) }
            }

            #[export]
            unsafe extern "C" fn kvm_test_age_gfn(
                kvm: *mut bindings::kvm,
                range: *mut bindings::kvm_gfn_range,
            ) -> bool {
                // SAFETY: The core holds `mmu_lock` of the VM for writing, and passes its own
                // range.
                unsafe { shims::test_age_gfn::<$backend>(kvm, range) }
            }

            #[export]
            unsafe extern "C" fn kvm_arch_mmu_enable_log_dirty_pt_masked(
                kvm: *mut bindings::kvm,
                slot: *mut bindings::kvm_memory_slot,
                gfn_offset: u64,
                mask: c_ulong,
            ) {
                // SAFETY: The core holds `mmu_lock` of the VM for writing, and passes a memslot of
                // it.
                unsafe { shims::log_dirty_masked::<$backend>(kvm, slot, gfn_offset, mask) }
            }

            #[export]
            unsafe extern "C" fn kvm_arch_flush_remote_tlbs_range(
                kvm: *mut bindings::kvm,
                gfn: u64,
                pages: u64,
            ) -> c_int {
                // SAFETY: The core passes a VM that it has created.
                unsafe { shims::flush_remote_tlbs_range::<$backend>(kvm, gfn, pages) }
            }
        };
    };
}
pub use kvm_mmu_ops;
