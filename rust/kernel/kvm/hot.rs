// SPDX-License-Identifier: GPL-2.0

//! Inline copies of C inlines that an exit needs several times, to save the call of a helper. Each
//! falls back to the helper where the configuration makes the C version do more, or on an
//! architecture that is not known here.

use crate::{
    bindings,
    ffi::c_void,
    prelude::*, //
};

/// `current`.
#[inline(always)]
pub(crate) fn current() -> *mut bindings::task_struct {
    #[cfg(target_arch = "riscv64")]
    {
        let current: *mut bindings::task_struct;
        // SAFETY: In the kernel, `tp` is the pointer to the current task.
        unsafe {
            core::arch::asm!("mv {}, tp", out(reg) current, options(pure, nomem, nostack));
        }
        current
    }
    #[cfg(not(target_arch = "riscv64"))]
    // SAFETY: Always safe to call.
    unsafe {
        bindings::get_current()
    }
}

/// `phys_to_virt()`: the address in the linear mapping.
#[inline(always)]
pub(super) fn phys_to_virt(phys: u64) -> *mut c_void {
    #[cfg(all(target_arch = "riscv64", not(CONFIG_DEBUG_VIRTUAL)))]
    {
        // SAFETY: Written only at boot.
        let offset = unsafe { bindings::kernel_map.va_pa_offset };
        (phys as usize).wrapping_add(offset) as *mut c_void
    }
    #[cfg(not(all(target_arch = "riscv64", not(CONFIG_DEBUG_VIRTUAL))))]
    // SAFETY: A computation.
    unsafe {
        bindings::kvm_phys_to_virt(phys)
    }
}

/// `xfer_to_guest_mode_work_pending()`.
#[inline(always)]
pub(super) fn work_pending() -> bool {
    // SAFETY: `current` is valid, and the flags are read as an atomic.
    let flags = unsafe { (&raw const (*current()).thread_info.flags).read_volatile() };
    flags & bindings::XFER_TO_GUEST_MODE_WORK != 0
}

/// Whether `preempt_disable()` is an addition to a field of `struct thread_info`.
const INLINE_PREEMPT_COUNT: bool = cfg!(all(
    target_arch = "riscv64",
    CONFIG_PREEMPT_COUNT,
    not(CONFIG_DEBUG_PREEMPT),
    not(CONFIG_TRACE_PREEMPT_TOGGLE)
));

/// Adds to the count of `preempt_disable()`, and returns it.
#[inline(always)]
fn add_to_preempt_count(n: i32) -> i32 {
    #[cfg(target_arch = "riscv64")]
    // SAFETY: `current` is valid. Only this CPU changes the count, and whatever interrupts this has
    // put it back by its end.
    unsafe {
        let count = &raw mut (*current()).thread_info.preempt_count;
        let new = count.read_volatile() + n;
        count.write_volatile(new);
        new
    }
    #[cfg(not(target_arch = "riscv64"))]
    {
        n
    }
}

/// `barrier()`: the compiler keeps accesses to memory on their side.
#[inline(always)]
fn barrier() {
    // SAFETY: No instruction.
    unsafe { core::arch::asm!("", options(nostack, preserves_flags)) };
}

/// `preempt_disable()`.
#[inline(always)]
pub(super) fn preempt_disable() {
    if INLINE_PREEMPT_COUNT {
        add_to_preempt_count(1);
        barrier();
    } else {
        // SAFETY: Always safe to call; the caller undoes it.
        unsafe { bindings::preempt_disable() };
    }
}

/// `preempt_enable()`.
///
/// # Safety
///
/// Undoes a [`preempt_disable`].
#[inline(always)]
pub(super) unsafe fn preempt_enable() {
    if INLINE_PREEMPT_COUNT {
        barrier();
        if add_to_preempt_count(-1) == 0 && work_pending() {
            // To be scheduled may be among the work: the helper knows.
            // SAFETY: The calls undo each other.
            unsafe {
                bindings::preempt_disable();
                bindings::preempt_enable();
            }
        }
    } else {
        // SAFETY: By the requirement.
        unsafe { bindings::preempt_enable() };
    }
}

/// Whether the account of guest time is a flag, by which the tick knows whose time it is.
const INLINE_GUEST_TIMING: bool = cfg!(not(any(
    CONFIG_VIRT_CPU_ACCOUNTING_GEN,
    CONFIG_VIRT_CPU_ACCOUNTING_NATIVE
)));

/// `guest_timing_enter_irqoff()`.
///
/// # Safety
///
/// Interrupts must be disabled.
#[inline(always)]
pub(super) unsafe fn guest_timing_enter_irqoff() {
    if INLINE_GUEST_TIMING {
        // SAFETY: `current` is valid, and nobody else writes its flags.
        unsafe { (*current()).flags |= bindings::PF_VCPU };
        barrier();
    } else {
        // SAFETY: By the requirement.
        unsafe { bindings::guest_timing_enter_irqoff() };
    }
}

/// `guest_timing_exit_irqoff()`.
///
/// # Safety
///
/// Interrupts must be disabled. Undoes a [`guest_timing_enter_irqoff`].
#[inline(always)]
pub(super) unsafe fn guest_timing_exit_irqoff() {
    if INLINE_GUEST_TIMING {
        barrier();
        // SAFETY: `current` is valid, and nobody else writes its flags.
        unsafe { (*current()).flags &= !bindings::PF_VCPU };
    } else {
        // SAFETY: By the requirement.
        unsafe { bindings::guest_timing_exit_irqoff() };
    }
}

/// Whether `srcu_read_lock()` is a call and nothing else.
const INLINE_SRCU: bool = cfg!(all(
    CONFIG_TREE_SRCU,
    not(CONFIG_PROVE_RCU),
    not(CONFIG_DEBUG_LOCK_ALLOC)
));

/// `srcu_read_lock()`.
///
/// # Safety
///
/// `srcu` must be valid until [`srcu_read_unlock`] is called with what is returned.
#[inline(always)]
pub(super) unsafe fn srcu_read_lock(srcu: *mut bindings::srcu_struct) -> c_int {
    // SAFETY: By the requirement.
    unsafe {
        if INLINE_SRCU {
            bindings::__srcu_read_lock(srcu)
        } else {
            bindings::srcu_read_lock(srcu)
        }
    }
}

/// `srcu_read_unlock()`.
///
/// # Safety
///
/// Undoes a [`srcu_read_lock`], which has returned `index`.
#[inline(always)]
pub(super) unsafe fn srcu_read_unlock(srcu: *mut bindings::srcu_struct, index: c_int) {
    // SAFETY: By the requirement.
    unsafe {
        if INLINE_SRCU {
            bindings::__srcu_read_unlock(srcu, index);
        } else {
            bindings::srcu_read_unlock(srcu, index);
        }
    }
}

/// Whether interrupts are enabled and disabled by one instruction.
const INLINE_IRQ_FLAGS: bool = cfg!(all(
    target_arch = "riscv64",
    not(CONFIG_RISCV_M_MODE),
    not(CONFIG_TRACE_IRQFLAGS),
    not(CONFIG_DEBUG_IRQFLAGS)
));

/// The state of interrupts that [`local_irq_save`] has found.
#[derive(Clone, Copy)]
pub(super) struct IrqFlags(usize);

impl IrqFlags {
    /// Returns whether interrupts were enabled.
    #[inline(always)]
    pub(super) fn were_enabled(self) -> bool {
        #[cfg(all(target_arch = "riscv64", not(CONFIG_RISCV_M_MODE)))]
        {
            self.0 & SSTATUS_SIE != 0
        }
        #[cfg(not(all(target_arch = "riscv64", not(CONFIG_RISCV_M_MODE))))]
        // SAFETY: Always safe to call.
        unsafe {
            !bindings::irqs_disabled_flags(self.0)
        }
    }
}

/// The bit of `sstatus` that enables interrupts.
#[cfg(target_arch = "riscv64")]
const SSTATUS_SIE: usize = 1 << 1;

/// `local_irq_save()`.
#[inline(always)]
pub(super) fn local_irq_save() -> IrqFlags {
    if INLINE_IRQ_FLAGS {
        #[cfg(target_arch = "riscv64")]
        {
            let old: usize;
            // SAFETY: Clears sstatus.SIE, which the caller restores.
            unsafe {
                core::arch::asm!(
                    "csrrci {}, sstatus, {}",
                    out(reg) old,
                    const SSTATUS_SIE,
                    options(nostack)
                )
            };
            return IrqFlags(old & SSTATUS_SIE);
        }
    }
    // SAFETY: Always safe to call; the caller undoes it.
    IrqFlags(unsafe { bindings::local_irq_save() })
}

/// `local_irq_restore()`.
///
/// # Safety
///
/// Undoes a [`local_irq_save`], which has returned `flags`.
#[inline(always)]
pub(super) unsafe fn local_irq_restore(flags: IrqFlags) {
    if INLINE_IRQ_FLAGS {
        #[cfg(target_arch = "riscv64")]
        // SAFETY: By the requirement.
        unsafe {
            core::arch::asm!("csrs sstatus, {}", in(reg) flags.0, options(nostack))
        };
    } else {
        // SAFETY: By the requirement.
        unsafe { bindings::local_irq_restore(flags.0) };
    }
}
