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
    access_once::AccessOnce,
    bindings,
    interrupt::LocalInterruptDisabled,
    kvm::{
        with_running,
        LoadedVcpu,
        LockedVcpu,
        PreemptOff,
        RunningVcpu, //
    },
    prelude::*,
    static_key::{
        static_key_enabled,
        StaticKey, //
    },
    sync::atomic::Atomic, //
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

/// Memory for the vector registers of a guest, in order, while they are not on the hart. Empty if
/// guests cannot have vectors. They are cells because the assembly writes them.
pub(crate) struct GuestVector(KVec<Cell<u64>>);

/// Whether the vector registers of a guest are on the hart that its vCPU is loaded on.
///
/// Only the vCPU's thread uses this, and [`flush`] on top of it, so it is atomic. It changes while
/// interrupts are disabled. It is 1 if they are there, and not a `bool`, because the compiler masks
/// what it reads of an atomic one.
pub(crate) struct OnHart(Atomic<u32>);

impl OnHart {
    /// Returns the state of a vCPU that has never run.
    pub(crate) fn new() -> Self {
        Self(Atomic::new(0))
    }

    #[inline(always)]
    fn get(&self) -> bool {
        self.0.read_once() != 0
    }

    #[inline(always)]
    fn set(&self, _: &LocalInterruptDisabled, on_hart: bool) {
        self.0.write_once(on_hart.into());
    }
}

impl GuestVector {
    /// Allocates the registers.
    pub(crate) fn new() -> Result<Self> {
        let words = vlenb() * REGISTERS / size_of::<u64>();
        let mut memory = KVec::with_capacity(words, GFP_KERNEL_ACCOUNT)?;
        for _ in 0..words {
            memory.push(Cell::new(0), GFP_KERNEL_ACCOUNT)?;
        }
        Ok(Self(memory))
    }

    /// Returns the contents of a register of a vCPU that is not loaded, in memory order.
    pub(crate) fn register(&self, num: RegNum) -> &[Cell<u64>] {
        let words = self.0.len() / REGISTERS;
        let start = num.index() * words;
        self.0.get(start..start + words).unwrap_or(&[])
    }
}

/// Resets the registers of a vCPU that is not loaded.
pub(crate) fn reset(vcpu: &LockedVcpu<'_, Riscv>) {
    let memory = &vcpu.local().vector.0;
    memory.iter().for_each(|word| word.set(0));
    let state = state(Regs::of(vcpu));
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
    let state = state(Regs::of(vcpu));
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
fn state(regs: Regs<'_>) -> *mut bindings::__riscv_v_ext_state {
    // SAFETY: The vCPU is valid.
    unsafe { &raw mut (*regs.arch()).guest_context.vector }
}

/// Loads the guest's registers on this hart, if the guest has vectors and they are not there yet.
#[inline]
pub(crate) fn enter(vcpu: &LoadedVcpu<'_, Riscv>, irq: &LocalInterruptDisabled) {
    if !vcpu.shared().vector_on_hart.get() && Regs::of(vcpu).sstatus().vs() != ExtState::Off {
        claim(vcpu, irq);
    }
}

/// Loads the guest's registers, after the kernel has saved those of whoever uses the unit.
#[inline(never)]
fn claim(vcpu: &LoadedVcpu<'_, Riscv>, irq: &LocalInterruptDisabled) {
    let regs = Regs::of(vcpu);
    // SAFETY: Interrupts are disabled, and this is the vCPU's thread. The vCPU has vectors, so the
    // hart does, and `reset()` has made the state point to memory for all registers.
    unsafe {
        bindings::kvm_riscv_claim_vector();
        bindings::__kvm_riscv_rust_vector_restore(state(regs));
    }
    regs.set_sstatus(regs.sstatus().with_vs(ExtState::Clean));
    vcpu.shared().vector_on_hart.set(irq, true);
}

/// Ends a stay in the guest. Saves the registers, and gives the vector unit back, if the kernel
/// could use it without asking once interrupts are enabled.
#[inline]
pub(crate) fn exit(vcpu: &LoadedVcpu<'_, Riscv>, irq: &LocalInterruptDisabled) {
    if static_key_enabled!(NO_CALLBACK) {
        give_back(&vcpu.as_running(), irq);
    }
}

/// Saves the guest's registers, and gives the vector unit back to the kernel.
#[inline]
pub(crate) fn put(vcpu: &RunningVcpu<'_, Riscv>, _: &PreemptOff) {
    if vcpu.shared().vector_on_hart.get() {
        vcpu.with_irqs_saved(give_back);
    }
}

/// Saves the registers if the guest has written them, and gives the vector unit back.
fn give_back(vcpu: &RunningVcpu<'_, Riscv>, irq: &LocalInterruptDisabled) {
    let on_hart = &vcpu.shared().vector_on_hart;
    // `flush()` may have been called before interrupts were disabled.
    if !on_hart.get() {
        return;
    }
    on_hart.set(irq, false);
    let regs = Regs::of_running(vcpu);
    if regs.sstatus().vs() == ExtState::Dirty {
        // SAFETY: As in `claim()`.
        unsafe { bindings::__kvm_riscv_rust_vector_save(state(regs)) };
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
