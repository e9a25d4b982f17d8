// SPDX-License-Identifier: GPL-2.0

//! A virtual CPU, and the tokens that tell what a thread may do with it.

use super::{
    backend::{
        Backend,
        LinkedBackend,
        VcpuOps, //
    },
    context::{
        irqs_saved,
        PreemptOff, //
    },
    hot,
    memslot::SrcuGuard,
    perf::PerfCounters,
    request::Request,
    run::RunArea,
    shims::VcpuState,
    stats::VcpuCounter,
    timer::VcpuTimer,
    vm::Vm,
    vm_lock::VcpuGuard, //
};
use crate::{
    access_once::smp_mb,
    bindings,
    cpu::CpuId,
    interrupt::LocalInterruptDisabled,
    prelude::*,
    types::{
        NotThreadSafe,
        Opaque, //
    },
};
use core::marker::PhantomData;

/// The identifier that user space has given a vCPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VcpuId(pub u32);

/// A `struct kvm_vcpu`, as any thread may see it: atomics and locks.
#[repr(transparent)]
pub struct Vcpu<B: Backend> {
    inner: Opaque<bindings::kvm_vcpu>,
    _backend: PhantomData<(B::VcpuShared, B::VcpuLocal)>,
}

// SAFETY: All that a `&Vcpu` gives is synchronized: by the core, or because `B::VcpuShared` is
// `Sync`. `B::VcpuLocal` needs a token.
unsafe impl<B: Backend> Sync for Vcpu<B> {}

impl<B: Backend> Vcpu<B> {
    /// # Safety
    ///
    /// `ptr` must point to a vCPU of this backend, after `kvm_arch_vcpu_create()` and before the
    /// end of `kvm_arch_vcpu_destroy()`, for the whole of `'a`.
    #[inline]
    pub(super) unsafe fn from_raw<'a>(ptr: *mut bindings::kvm_vcpu) -> &'a Self {
        // SAFETY: The layout is that of `struct kvm_vcpu`; the rest is the requirement.
        unsafe { &*ptr.cast() }
    }

    /// # Safety
    ///
    /// `ptr` must be null, or as for [`from_raw`](Self::from_raw).
    #[inline]
    pub(super) unsafe fn from_raw_or_null<'a>(ptr: *mut bindings::kvm_vcpu) -> Option<&'a Self> {
        // SAFETY: By the requirement.
        (!ptr.is_null()).then(|| unsafe { Self::from_raw(ptr) })
    }

    /// Returns the pointer that the core knows the vCPU by.
    #[inline]
    pub fn as_raw(&self) -> *mut bindings::kvm_vcpu {
        self.inner.get()
    }

    /// Returns the VM of the vCPU.
    #[inline]
    pub fn vm(&self) -> &Vm<B> {
        // SAFETY: The VM lives longer than its vCPUs, and never changes.
        unsafe { Vm::from_raw((*self.as_raw()).kvm) }
    }

    /// Returns the identifier that user space has given the vCPU.
    #[inline]
    pub fn id(&self) -> VcpuId {
        // SAFETY: The vCPU is valid, and the field never changes.
        VcpuId(unsafe { (*self.as_raw()).vcpu_id } as u32)
    }

    /// Returns the position of the vCPU in the order of creation.
    #[inline]
    pub fn index(&self) -> i32 {
        // SAFETY: The vCPU is valid, and the field never changes once the vCPU can be reached.
        unsafe { (*self.as_raw()).vcpu_idx }
    }

    #[inline]
    pub(super) fn state(&self) -> &VcpuState<B> {
        // SAFETY: By the requirement of `from_raw()`, the pointer is that of the pinned state that
        // `kvm_arch_vcpu_create()` has made, which lives as long as the vCPU.
        unsafe { &*(*self.as_raw()).arch.backend.cast::<VcpuState<B>>() }
    }

    /// Returns the part of the backend's state that any thread may use.
    #[inline]
    pub fn shared(&self) -> &B::VcpuShared {
        &self.state().shared
    }

    /// Returns whether there are requests.
    #[inline]
    pub fn request_pending(&self) -> bool {
        // SAFETY: The vCPU is valid; the field is read as an atomic.
        unsafe { (&raw const (*self.as_raw()).requests).read_volatile() != 0 }
    }

    /// Makes a request, without interrupting the vCPU.
    #[inline]
    pub fn request(&self, request: Request) {
        // SAFETY: The vCPU is valid.
        unsafe { bindings::__kvm_make_request(request.raw() as c_int, self.as_raw()) };
    }

    /// Takes the mutex of the vCPU, which the thread that runs it holds during `KVM_RUN`. May sleep
    /// until user space makes that return.
    ///
    /// Whoever holds the mutex of a vCPU must not call this, not even for another: two such threads
    /// could wait for each other. For all vCPUs, there is
    /// [`VmLock::try_lock_all_vcpus`](super::VmLock::try_lock_all_vcpus).
    ///
    /// # Errors
    ///
    /// [`EINTR`] if this thread is being killed.
    #[inline]
    pub fn lock_killable(&self) -> Result<VcpuGuard<'_, B>>
    where
        B: VcpuOps,
    {
        VcpuGuard::new(self)
    }

    /// Wakes the vCPU if it sleeps, and interrupts it if it is in the guest. May be called in any
    /// context, that of a hard interrupt included.
    #[inline]
    pub fn kick(&self) {
        // Orders what the vCPU has to see before the reads of its state. A vCPU that is about to
        // sleep or to enter the guest announces that, and then looks for requests.
        smp_mb();
        if self.is_waiting() || self.is_in_guest_mode() {
            // SAFETY: The vCPU is valid.
            unsafe { bindings::__kvm_vcpu_kick(self.as_raw(), false) };
        }
    }

    /// Returns whether the vCPU's thread sleeps, and is to be woken.
    #[inline]
    fn is_waiting(&self) -> bool {
        // SAFETY: The vCPU is valid. The pointer is only compared.
        let task = unsafe { (&raw const (*self.wait()).task).read_volatile() };
        !task.is_null()
    }

    /// Wakes the vCPU if it sleeps. May be called in any context.
    #[inline]
    pub fn wake_up(&self) {
        // SAFETY: The vCPU is valid.
        unsafe { bindings::kvm_vcpu_wake_up(self.as_raw()) };
    }

    /// Returns whether the vCPU is in the guest, or reads its memory, so that it notices nothing
    /// without an interrupt.
    #[inline]
    pub fn is_in_guest_mode(&self) -> bool {
        self.mode() != bindings::OUTSIDE_GUEST_MODE
    }

    /// Returns whether the vCPU has been kicked while it was in guest mode. Later kicks send no
    /// interrupt, so the vCPU must leave that mode before it enters the guest.
    #[inline]
    pub fn was_kicked(&self) -> bool {
        self.mode() == bindings::EXITING_GUEST_MODE
    }

    #[inline]
    fn mode(&self) -> c_uint {
        // SAFETY: The vCPU is valid; the field is read as an atomic.
        unsafe { (&raw const (*self.as_raw()).mode).read_volatile() as c_uint }
    }

    /// Returns whether the vCPU waits for an interrupt. The answer may be old.
    #[inline]
    pub fn is_halted(&self) -> bool {
        // SAFETY: The vCPU is valid; the field is a statistic that may be read at any time.
        unsafe { (&raw const (*self.as_raw()).stat.generic.blocking).read_volatile() != 0 }
    }

    #[inline]
    fn wait(&self) -> *mut bindings::rcuwait {
        // SAFETY: The vCPU is valid.
        unsafe { &raw mut (*self.as_raw()).wait }
    }
}

/// A vCPU in the making: the core has set up its part, the backend has not.
pub struct NewVcpu<'a, B: Backend> {
    ptr: *mut bindings::kvm_vcpu,
    _life: PhantomData<&'a Vcpu<B>>,
}

impl<'a, B: Backend> NewVcpu<'a, B> {
    /// # Safety
    ///
    /// `ptr` must point to a vCPU that the core has set up and shows to nobody else for `'a`.
    #[inline]
    pub(super) unsafe fn new(ptr: *mut bindings::kvm_vcpu) -> Self {
        Self {
            ptr,
            _life: PhantomData,
        }
    }

    /// Returns the VM of the vCPU.
    #[inline]
    pub fn vm(&self) -> &'a Vm<B> {
        // SAFETY: The VM lives longer than its vCPUs.
        unsafe { Vm::from_raw((*self.ptr).kvm) }
    }

    /// Returns the identifier that user space has given the vCPU.
    #[inline]
    pub fn id(&self) -> VcpuId {
        // SAFETY: The vCPU is valid.
        VcpuId(unsafe { (*self.ptr).vcpu_id } as u32)
    }

    #[inline]
    pub(super) fn as_raw(&self) -> *mut bindings::kvm_vcpu {
        self.ptr
    }
}

/// A vCPU whose mutex this thread holds, or that nobody else can reach.
///
/// The thread need not be the one that runs the vCPU: an ioctl of the VM or of a device may hold
/// the mutex as well. Such a thread may use all that this gives, the [local state](Self::local)
/// included, and sees what the last holder of the mutex has written. The vCPU is not loaded then,
/// on any CPU, for whoever loads a vCPU holds its mutex until it has been put; and nobody can load
/// it without a [`LoadPermit`], which only [`VcpuOps::run`](super::backend::VcpuOps::run) gets.
pub struct LockedVcpu<'a, B: Backend> {
    vcpu: &'a Vcpu<B>,
    _not_send: NotThreadSafe,
}

impl<B: Backend> core::ops::Deref for LockedVcpu<'_, B> {
    type Target = Vcpu<B>;

    #[inline]
    fn deref(&self) -> &Vcpu<B> {
        self.vcpu
    }
}

impl<'a, B: VcpuOps> LockedVcpu<'a, B> {
    /// # Safety
    ///
    /// For the whole of `'a`, this thread must hold the vCPU's mutex, or no other must be able to
    /// reach the vCPU.
    #[inline]
    pub(super) unsafe fn new(vcpu: &'a Vcpu<B>) -> Self {
        Self {
            vcpu,
            _not_send: NotThreadSafe,
        }
    }

    /// Returns the vCPU without the token.
    #[inline]
    pub fn vcpu(&self) -> &'a Vcpu<B> {
        self.vcpu
    }

    /// Returns the vCPU as [`with_running`] hands it out, for code that serves both.
    #[inline]
    pub fn as_running(&self) -> RunningVcpu<'a, B> {
        RunningVcpu {
            vcpu: self.vcpu,
            _not_send: NotThreadSafe,
        }
    }

    /// Returns the part of the backend's state that only the holder of the mutex may use.
    ///
    /// It is not [`Sync`], but the hooks for load and put may run on top of the caller: see
    /// [`VcpuLocal`](super::backend::VcpuLocal).
    #[inline]
    pub fn local(&self) -> &B::VcpuLocal {
        &self.vcpu.state().local
    }

    /// Returns the timer of the vCPU.
    #[inline]
    pub fn timer(&self) -> &VcpuTimer<B> {
        &self.vcpu.state().timer
    }

    /// Returns the vCPU's counters of events of the hardware.
    #[inline]
    pub fn perf_counters(&self) -> &PerfCounters<B> {
        &self.vcpu.state().perf
    }

    /// Returns the C part of the architecture's state.
    #[inline]
    pub fn arch(&self) -> *mut bindings::kvm_vcpu_arch {
        // SAFETY: The vCPU is valid.
        unsafe { &raw mut (*self.vcpu.as_raw()).arch }
    }

    /// Returns the area that is shared with user space.
    #[inline]
    pub fn run_area(&self) -> RunArea<'_> {
        // SAFETY: The page lives as long as the vCPU.
        unsafe { RunArea::new((*self.vcpu.as_raw()).run) }
    }

    /// Counts an event. Inlined for those who call it from `.noinstr.text`.
    #[inline(always)]
    pub fn count(&self, counter: VcpuCounter) {
        // SAFETY: The vCPU is valid. Only the holder of the mutex writes; that others may read in
        // the middle is in the nature of the statistics.
        unsafe {
            let stat = counter.of(&raw mut (*self.vcpu.as_raw()).stat);
            stat.write_volatile(stat.read_volatile().wrapping_add(1));
        }
    }

    /// Returns whether user space debugs the guest (`KVM_GUESTDBG_ENABLE`).
    #[inline]
    pub fn guest_debug(&self) -> bool {
        // SAFETY: The vCPU is valid; the field is protected by the mutex.
        unsafe { (*self.vcpu.as_raw()).guest_debug != 0 }
    }

    pub(super) fn set_guest_debug(&self, control: u32) {
        // SAFETY: As in `guest_debug()`.
        unsafe { (*self.vcpu.as_raw()).guest_debug = control as usize };
    }

    /// Returns whether `KVM_RUN` is to enter the guest: not if user space has set `immediate_exit`.
    #[inline]
    pub fn wants_to_run(&self) -> bool {
        // SAFETY: The vCPU is valid; the field is protected by the mutex.
        unsafe { (*self.vcpu.as_raw()).wants_to_run }
    }

    /// Loads the vCPU and installs the signal mask that user space has given it, while `f` runs.
    ///
    /// Panics if the permit is for another vCPU.
    #[inline]
    pub fn with_loaded<R>(
        &self,
        permit: LoadPermit<'_, B>,
        f: impl FnOnce(&LoadedVcpu<'_, B>) -> R,
    ) -> R {
        assert!(core::ptr::eq(permit.vcpu, self.vcpu));
        // SAFETY: The vCPU is valid, its mutex is held, and by the permit it is not loaded. Both
        // calls are undone below.
        unsafe {
            bindings::vcpu_load(self.vcpu.as_raw());
            bindings::kvm_sigset_activate(self.vcpu.as_raw());
        }
        let r = f(&LoadedVcpu { locked: self });
        // SAFETY: The counterparts of the calls above.
        unsafe {
            bindings::kvm_sigset_deactivate(self.vcpu.as_raw());
            bindings::vcpu_put(self.vcpu.as_raw());
        }
        r
    }

    /// Returns whether `request` has been made, and withdraws it.
    #[inline]
    pub fn take_request(&self, request: Request) -> bool {
        // SAFETY: The vCPU is valid.
        unsafe { bindings::kvm_check_request(request.raw() as c_int, self.vcpu.as_raw()) }
    }
}

/// The permission to load a vCPU, once.
///
/// Only the entry point of `KVM_RUN` makes one, and [`LockedVcpu::with_loaded`] consumes it.
pub struct LoadPermit<'a, B: Backend> {
    vcpu: &'a Vcpu<B>,
    _not_send: NotThreadSafe,
}

impl<'a, B: Backend> LoadPermit<'a, B> {
    /// # Safety
    ///
    /// This thread must hold the vCPU's mutex, and the vCPU must not be loaded, nor be loaded
    /// otherwise for the whole of `'a`.
    #[inline]
    pub(super) unsafe fn new(vcpu: &'a Vcpu<B>) -> Self {
        Self {
            vcpu,
            _not_send: NotThreadSafe,
        }
    }
}

/// A vCPU whose mutex this thread holds, as an interrupt on top of the thread may use it.
///
/// The interrupt may come in the middle of an access to [`LockedVcpu::local`], or between two that
/// belong together. So this has no access to that, but to what any thread may use, and to the C
/// part of the architecture's state.
pub struct RunningVcpu<'a, B: Backend> {
    vcpu: &'a Vcpu<B>,
    _not_send: NotThreadSafe,
}

impl<B: Backend> core::ops::Deref for RunningVcpu<'_, B> {
    type Target = Vcpu<B>;

    #[inline]
    fn deref(&self) -> &Vcpu<B> {
        self.vcpu
    }
}

impl<B: Backend> RunningVcpu<'_, B> {
    /// Returns the C part of the architecture's state, each field of which is accessed by one
    /// volatile access.
    #[inline]
    pub fn arch(&self) -> *mut bindings::kvm_vcpu_arch {
        // SAFETY: The vCPU is valid.
        unsafe { &raw mut (*self.vcpu.as_raw()).arch }
    }

    /// Does the same as [`with_irqs_saved`](super::context::with_irqs_saved), for an `f` that gets
    /// the vCPU.
    #[inline]
    pub fn with_irqs_saved<R: Send>(
        &self,
        f: impl FnOnce(&Self, &LocalInterruptDisabled) -> R + Send,
    ) -> R {
        // SAFETY: `f` and its result are `Send`, and so is the state that `f` gets with the vCPU.
        unsafe { irqs_saved(|irq| f(self, irq)) }
    }
}

/// Runs `f` with the vCPU that is loaded on this CPU, if there is one.
///
/// In an interrupt, `f` runs on top of whatever the vCPU's thread does.
#[inline]
pub fn with_running<B: LinkedBackend, R>(
    _: &PreemptOff,
    f: impl FnOnce(&RunningVcpu<'_, B>) -> R,
) -> Option<R> {
    // SAFETY: All vCPUs are of the linked backend, and a vCPU stays while it is loaded.
    let vcpu = unsafe { Vcpu::from_raw_or_null(bindings::kvm_get_running_vcpu()) }?;
    // The thread that has loaded the vCPU holds its mutex. It is the current thread, and stays that
    // while preemption is disabled.
    Some(f(&RunningVcpu {
        vcpu,
        _not_send: NotThreadSafe,
    }))
}

/// Returns whether a signal is pending for the current thread.
#[inline]
fn current_has_signal() -> bool {
    // SAFETY: `current` is valid.
    unsafe { bindings::signal_pending(bindings::get_current()) != 0 }
}

/// A vCPU that is loaded: the guest's CSRs are those of this hart.
///
/// The thread may be preempted and may migrate; the guest's state then follows it, by the hooks for
/// put and load. So a single access to a guest CSR is right at any time, and a sequence of them
/// sees the guest's values throughout.
pub struct LoadedVcpu<'a, B: Backend> {
    locked: &'a LockedVcpu<'a, B>,
}

impl<'a, B: Backend> core::ops::Deref for LoadedVcpu<'a, B> {
    type Target = LockedVcpu<'a, B>;

    #[inline]
    fn deref(&self) -> &LockedVcpu<'a, B> {
        self.locked
    }
}

impl<'a, B: Backend> LoadedVcpu<'a, B> {
    /// Stands for the vCPU that the core has loaded around a call to the backend.
    ///
    /// # Safety
    ///
    /// This thread must have loaded the vCPU, and keep it so for `'a`.
    #[inline]
    pub(super) unsafe fn assume(locked: &'a LockedVcpu<'a, B>) -> Self {
        Self { locked }
    }
}

impl<B: VcpuOps> LoadedVcpu<'_, B> {
    /// Enters an SRCU read-side section of the VM.
    #[inline]
    pub fn srcu_read_lock(&self) -> SrcuGuard<'_, B> {
        SrcuGuard::new(self.vcpu)
    }

    /// Handles the work that the thread has to do before it may enter the guest.
    ///
    /// Returns [`EINTR`] if a signal is pending, with that exit reason in the run area.
    #[inline]
    pub fn handle_work(&self) -> Result {
        if !super::context::work_pending() {
            return Ok(());
        }
        // SAFETY: Called from the ioctl, with interrupts enabled.
        let r = unsafe { bindings::xfer_to_guest_mode_handle_work() };
        if r != 0 {
            self.run_area().set_exit_reason(super::ExitReason::Intr);
            self.count(crate::vcpu_counter!(signal_exits));
            return Err(Error::from_errno(r));
        }
        Ok(())
    }

    /// Returns whether `request` has been made.
    #[inline]
    pub fn is_requested(&self, request: Request) -> bool {
        // SAFETY: The vCPU is valid.
        unsafe { bindings::kvm_test_request(request.raw() as c_int, self.vcpu.as_raw()) }
    }

    /// Runs `f`, which reads guest memory by the guest's own translation, with interrupts disabled.
    ///
    /// A thread that makes a request and waits for it, for example because it takes memory from the
    /// guest, waits until `f` has returned. `f` sees the requests that were made before.
    ///
    /// The bounds are those of [`with_irqs_saved`](super::context::with_irqs_saved).
    ///
    /// Panics if interrupts are disabled already, as they are in guest mode, which would end here.
    #[inline]
    pub fn while_reading<R: Send>(
        &self,
        f: impl FnOnce(&Self, &LocalInterruptDisabled) -> R + Send,
    ) -> R {
        let flags = hot::local_irq_save();
        assert!(flags.were_enabled());
        self.set_mode(bindings::READING_SHADOW_PAGE_TABLES);
        // Orders the mode ahead of the reads of the requests in `f`.
        smp_mb();
        // SAFETY: Interrupts are disabled until `f` has returned. No guard of them outlasts it: `f`
        // and its result are `Send`, and so is the state that `f` gets with the vCPU.
        let r = f(self, unsafe { LocalInterruptDisabled::assume_disabled() });
        // Orders the reads of `f` before the mode.
        smp_mb();
        self.set_mode(bindings::OUTSIDE_GUEST_MODE);
        // SAFETY: `flags` is what the counterpart returned.
        unsafe { hot::local_irq_restore(flags) };
        r
    }

    /// Returns whether the dirty ring is full. Then the run area has that exit reason.
    #[inline]
    pub fn dirty_ring_full(&self) -> bool {
        // SAFETY: The vCPU is valid.
        unsafe { bindings::kvm_dirty_ring_check_request(self.vcpu.as_raw()) }
    }

    #[inline]
    pub(super) fn set_mode(&self, mode: u32) {
        // SAFETY: The vCPU is valid; others read and compare-exchange the field.
        unsafe { (&raw mut (*self.vcpu.as_raw()).mode).write_volatile(mode as c_int) };
    }

    /// Waits for an interrupt for the guest. Must not be called in an SRCU section.
    pub fn halt(&self) {
        // SAFETY: The vCPU is valid and loaded.
        unsafe { bindings::kvm_vcpu_halt(self.vcpu.as_raw()) };
    }

    /// Waits until `ready` returns `true`, which it checks at each [`Vcpu::wake_up`], or a signal
    /// comes. Must not be called in an SRCU section.
    pub fn wait_until(&self, ready: impl Fn() -> bool) {
        let wait = self.vcpu.wait();
        // SAFETY: The vCPU is valid, and only its owner waits there.
        unsafe { bindings::prepare_to_rcuwait(wait) };
        loop {
            // SAFETY: Always safe to call; undone by `finish_rcuwait()`.
            unsafe { bindings::set_current_state_interruptible() };
            if ready() || current_has_signal() {
                break;
            }
            // SAFETY: Sleeping is allowed here.
            unsafe { bindings::schedule() };
        }
        // SAFETY: The counterpart has been called.
        unsafe { bindings::finish_rcuwait(wait) };
    }

    /// Yields the CPU to another vCPU of the VM that can use it.
    #[inline]
    pub fn on_spin(&self, in_kernel: bool) {
        // SAFETY: The vCPU is valid and loaded.
        unsafe { bindings::kvm_vcpu_on_spin(self.vcpu.as_raw(), in_kernel) };
    }

    /// Returns whether another vCPU of the VM could use the CPU. If none could,
    /// [`on_spin`](Self::on_spin) finds none to yield to.
    #[inline]
    pub fn has_ready_peer(&self) -> bool {
        self.vm().vcpus().any(|peer| {
            // SAFETY: The vCPU is valid; the field is a hint that may be read at any time.
            let ready = unsafe { (&raw const (*peer.as_raw()).ready).read_volatile() };
            ready && peer.index() != self.index()
        })
    }

    /// Runs `f` with the guest's state in memory and not on the hart, and with preemption disabled.
    ///
    /// `f` is a function and its argument owns its data, so that neither can bring along a
    /// reference to this token.
    #[inline]
    pub fn with_unloaded<A: 'static, R>(
        &self,
        argument: A,
        f: fn(&LockedVcpu<'_, B>, A) -> R,
    ) -> R {
        let preempt = PreemptOff::new();
        B::put(self.locked, &preempt);
        let r = f(self.locked, argument);
        B::load(self.locked, CpuId::current(), &preempt);
        r
    }
}
