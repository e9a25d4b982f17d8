// SPDX-License-Identifier: GPL-2.0

//! The guest's vector registers.
//!
//! They are large, so they move as late as possible: they are loaded when a guest that has them is
//! entered, stay on the hart from exit to exit, and are saved only if the guest has written them.
//! The registers of user space are saved by the kernel, which loads them when user space runs
//! again, so there is no copy of them here.
//!
//! The kernel may want to use vectors itself while the hart holds the registers of a vCPU. That can
//! happen at any point of the vCPU's thread outside a stay in the guest. The kernel then calls
//! [`flush`]. Linux before 7.3 calls nothing, so there the registers leave the hart at the end of
//! each stay: while interrupts are disabled, the kernel uses no vectors.

use crate::{
    abi::one_reg::{
        RegNum,
        VectorCsr, //
    },
    hart::{
        csr::ExtState,
        features, //
    },
    switch::regs::Regs,
    Riscv, //
};
use core::cell::Cell;
use kernel::{
    bindings,
    interrupt::LocalInterruptDisabled,
    kvm::{
        context::with_irqs_saved,
        with_running,
        LoadedVcpu,
        LockedVcpu,
        PreemptOff, //
    },
    prelude::*,
    static_key::{
        static_key_enabled,
        StaticKey, //
    }, //
};

/// The kernel does not call [`flush`].
static NO_CALLBACK: StaticKey = StaticKey::new();

/// The number of vector registers.
const REGISTERS: usize = 32;

/// Returns `vlenb`, the size of a vector register in bytes. It is 0 if guests cannot have vectors.
pub(crate) fn vlenb() -> usize {
    if !features::host_has(features::letter(b'v')) {
        return 0;
    }
    // SAFETY: Always safe to call.
    unsafe { bindings::kvm_riscv_vector_size() / REGISTERS }
}

/// Returns whether user space of this thread may use vectors. Only then its guests may.
pub(crate) fn allowed() -> bool {
    // SAFETY: Always safe to call.
    unsafe { bindings::riscv_v_vstate_ctrl_user_allowed() }
}

/// The vector registers of a guest, which are in memory or on a hart.
pub(crate) struct GuestVector {
    /// The registers in order, while they are not on the hart. Empty if guests cannot have vectors.
    /// They are cells because the assembly writes them.
    memory: KVec<Cell<u64>>,
    /// Whether the registers are on the hart that the vCPU is loaded on.
    live: Cell<bool>,
}

impl GuestVector {
    /// Allocates the registers.
    pub(crate) fn new() -> Result<Self> {
        let words = vlenb() * REGISTERS / size_of::<u64>();
        let mut memory = KVec::with_capacity(words, GFP_KERNEL_ACCOUNT)?;
        for _ in 0..words {
            memory.push(Cell::new(0), GFP_KERNEL_ACCOUNT)?;
        }
        Ok(Self {
            memory,
            live: Cell::new(false),
        })
    }

    /// Returns the contents of a register of a vCPU that is not loaded, in memory order.
    pub(crate) fn register(&self, num: RegNum) -> &[Cell<u64>] {
        let words = self.memory.len() / REGISTERS;
        let start = num.index() * words;
        self.memory.get(start..start + words).unwrap_or(&[])
    }
}

/// Resets the registers of a vCPU that is not loaded.
pub(crate) fn reset(vcpu: &LockedVcpu<'_, Riscv>) {
    let memory = &vcpu.local().vector.memory;
    memory.iter().for_each(|word| word.set(0));
    let state = state(vcpu);
    // SAFETY: The vCPU is valid. The pointer is for the assembly alone.
    unsafe {
        (&raw mut (*state).datap).write_volatile(memory.as_ptr().cast_mut().cast());
        (&raw mut (*state).vlenb).write_volatile(vlenb());
    }
}

/// Returns the value of a CSR of a vCPU that is not loaded.
pub(crate) fn csr(vcpu: &LockedVcpu<'_, Riscv>, csr: VectorCsr) -> u64 {
    // SAFETY: The vCPU is valid.
    unsafe { csr_ptr(vcpu, csr).read_volatile() as u64 }
}

/// Sets a CSR of a vCPU that is not loaded. The hart makes any value legal.
pub(crate) fn set_csr(vcpu: &LockedVcpu<'_, Riscv>, csr: VectorCsr, value: u64) {
    // SAFETY: The vCPU is valid.
    unsafe { csr_ptr(vcpu, csr).write_volatile(value as usize) };
}

fn csr_ptr(vcpu: &LockedVcpu<'_, Riscv>, csr: VectorCsr) -> *mut usize {
    let state = state(vcpu);
    // SAFETY: The vCPU is valid.
    unsafe {
        match csr {
            VectorCsr::Vstart => &raw mut (*state).vstart,
            VectorCsr::Vl => &raw mut (*state).vl,
            VectorCsr::Vtype => &raw mut (*state).vtype,
            VectorCsr::Vcsr => &raw mut (*state).vcsr,
            VectorCsr::Vlenb => &raw mut (*state).vlenb,
        }
    }
}

#[inline(always)]
fn state(vcpu: &LockedVcpu<'_, Riscv>) -> *mut bindings::__riscv_v_ext_state {
    // SAFETY: The vCPU is valid.
    unsafe { &raw mut (*vcpu.arch()).guest_context.vector }
}

/// Loads the guest's registers on this hart, if the guest has vectors and they are not there yet.
#[inline]
pub(crate) fn enter(vcpu: &LoadedVcpu<'_, Riscv>, irq: &LocalInterruptDisabled) {
    if !vcpu.local().vector.live.get() && Regs::of(vcpu).sstatus().vs() != ExtState::Off {
        claim(vcpu, irq);
    }
}

/// Loads the guest's registers, after the kernel has saved those of whoever uses the unit.
#[inline(never)]
fn claim(vcpu: &LoadedVcpu<'_, Riscv>, _: &LocalInterruptDisabled) {
    let regs = Regs::of(vcpu);
    // SAFETY: Interrupts are disabled, and this is the vCPU's thread. The vCPU has vectors, so the
    // hart does, and `reset()` has made the state point to memory for all registers.
    unsafe {
        bindings::kvm_riscv_claim_vector();
        bindings::__kvm_riscv_rust_vector_restore(state(vcpu));
    }
    regs.set_sstatus(regs.sstatus().with_vs(ExtState::Clean));
    vcpu.local().vector.live.set(true);
}

/// Ends a stay in the guest. Saves the registers, and gives the vector unit back, if the kernel
/// could use it without asking once interrupts are enabled.
#[inline]
pub(crate) fn exit(vcpu: &LoadedVcpu<'_, Riscv>, irq: &LocalInterruptDisabled) {
    if static_key_enabled!(NO_CALLBACK) {
        give_back(vcpu, irq);
    }
}

/// Saves the guest's registers, and gives the vector unit back to the kernel.
#[inline]
pub(crate) fn put(vcpu: &LockedVcpu<'_, Riscv>, _: &PreemptOff) {
    if vcpu.local().vector.live.get() {
        with_irqs_saved(|irq| give_back(vcpu, irq));
    }
}

/// Saves the registers if the guest has written them, and gives the vector unit back.
fn give_back(vcpu: &LockedVcpu<'_, Riscv>, _: &LocalInterruptDisabled) {
    // `flush()` may have been called before interrupts were disabled.
    if !vcpu.local().vector.live.replace(false) {
        return;
    }
    let regs = Regs::of(vcpu);
    if regs.sstatus().vs() == ExtState::Dirty {
        // SAFETY: As in `claim()`.
        unsafe { bindings::__kvm_riscv_rust_vector_save(state(vcpu)) };
        regs.set_sstatus(regs.sstatus().with_vs(ExtState::Clean));
    }
    // SAFETY: Interrupts are disabled, and the registers are in memory.
    unsafe { bindings::kvm_riscv_release_vector() };
}

/// The registration of [`flush`]. Dropping it ends the registration.
pub(crate) struct FlushCallback(());

impl FlushCallback {
    /// Registers the callback if guests can have vectors and the kernel would call it.
    pub(crate) fn register() -> Option<Self> {
        if vlenb() == 0 {
            return None;
        }
        // SAFETY: The function stays until `drop`.
        if !unsafe { bindings::kvm_riscv_set_vector_callback(Some(flush)) } {
            NO_CALLBACK.enable();
            return None;
        }
        Some(Self(()))
    }
}

impl Drop for FlushCallback {
    fn drop(&mut self) {
        // SAFETY: Always safe to call. Returns when no hart executes the function any more.
        unsafe { bindings::kvm_riscv_set_vector_callback(None) };
    }
}

/// Saves the vector registers of the vCPU that is loaded on this hart, so that the kernel can use
/// the unit.
///
/// # Safety
///
/// Called by the kernel on the vCPU's thread or in an interrupt on top of it, with softirqs,
/// preemption or interrupts disabled.
unsafe extern "C" fn flush() {
    // SAFETY: With softirqs or interrupts disabled, preemption is, too.
    let preempt = unsafe { PreemptOff::assume() };
    with_running::<Riscv, _>(preempt, |vcpu| put(vcpu, preempt));
}
