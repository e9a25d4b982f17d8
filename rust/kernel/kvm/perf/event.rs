// SPDX-License-Identifier: GPL-2.0

//! A perf event that counts for a vCPU.
//!
//! C header: [`include/linux/perf_event.h`](srctree/include/linux/perf_event.h)

use super::{
    PerfEventAttr,
    Turn,
    MAX_PERIOD,
    NEVER, //
};
use crate::{
    bindings,
    cpu::CpuId,
    error::from_err_ptr,
    interrupt::LocalInterruptDisabled,
    kvm::{
        backend::{
            Backend,
            VcpuOps, //
        },
        context::irqs_saved,
        vcpu::Vcpu, //
    },
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
    task::Task, //
};
use core::{
    cell::Cell,
    marker::PhantomData,
    ptr::NonNull, //
};

/// A perf event of a thread, which counts what happens in the guest.
///
/// # Invariants
///
/// `event` is an event of this object. Its context is `context`, the vCPU of which is alive.
pub(super) struct PerfEvent<B: Backend> {
    event: NonNull<bindings::perf_event>,
    context: Pin<KBox<Context<B>>>,
    /// How far the event will have counted when its period ends, once it counts at all.
    ends_at: Cell<Option<u64>>,
}

/// What the handler of an overflow knows.
struct Context<B: Backend> {
    vcpu: *mut bindings::kvm_vcpu,
    index: u32,
    turn: Turn,
    /// Whether the counter runs, and has not overflowed since it was started.
    is_armed: Atomic<bool>,
    _backend: PhantomData<fn() -> B>,
}

impl<B: VcpuOps> Context<B> {
    /// Tells the backend of an overflow.
    fn report(&self) {
        // SAFETY: By the requirement of `PerfEvent::new()`.
        B::counter_overflowed(unsafe { Vcpu::from_raw(self.vcpu) }, self.index);
    }
}

impl<B: VcpuOps> PerfEvent<B> {
    /// Returns a new event of the current thread, which does not count yet. May sleep.
    ///
    /// # Safety
    ///
    /// `vcpu` must be a vCPU of this backend that stays alive until the event is dropped.
    pub(super) unsafe fn new(
        vcpu: *mut bindings::kvm_vcpu,
        index: u32,
        wanted: &PerfEventAttr,
        turn: Turn,
    ) -> Result<Self> {
        let context = KBox::pin(
            Context::<B> {
                vcpu,
                index,
                turn,
                is_armed: Atomic::new(false),
                _backend: PhantomData,
            },
            GFP_KERNEL_ACCOUNT,
        )?;
        let mut attr = bindings::perf_event_attr {
            type_: wanted.kind,
            size: size_of::<bindings::perf_event_attr>() as u32,
            config: wanted.config,
            ..Default::default()
        };
        attr.__bindgen_anon_1.sample_period = MAX_PERIOD;
        attr.__bindgen_anon_3.config1 = wanted.config1;
        // It counts whenever the thread runs, and not now and then.
        attr.set_pinned(1);
        attr.set_disabled(1);
        attr.set_exclude_host(1);
        attr.set_exclude_hv(1);
        attr.set_exclude_user(wanted.exclude_user.into());
        attr.set_exclude_kernel(wanted.exclude_kernel.into());
        // SAFETY: The attributes are valid, and the current thread is alive. The context stays
        // where it is until the event has been released.
        let event = from_err_ptr(unsafe {
            bindings::perf_event_create_kernel_counter(
                &raw mut attr,
                -1,
                Task::current_raw(),
                Some(Self::overflowed),
                core::ptr::from_ref(&*context).cast_mut().cast(),
            )
        })?;
        // INVARIANT: The event is new; the rest is the requirement.
        Ok(Self {
            event: NonNull::new(event).ok_or(ENOMEM)?,
            context,
            ends_at: Cell::new(None),
        })
    }

    /// Lets the event count, and tell the backend when it has counted `period` events, at most
    /// [`MAX_PERIOD`]. Returns how far it has counted by now. May sleep.
    pub(super) fn arm(&self, period: u64) -> u64 {
        let count = match self.ends_at.get() {
            None => self.begin(period),
            // An event that counts already, and an overflow that nobody will see.
            Some(ends_at) if period >= NEVER => {
                let count = self.count();
                if ends_at.wrapping_sub(count) >= NEVER {
                    self.context.is_armed.store(true, Relaxed);
                    return count;
                }
                self.begin_again(period)
            }
            Some(_) => self.begin_again(period),
        };
        self.ends_at.set(Some(count.wrapping_add(period)));
        count
    }

    /// Ends what [`arm`](Self::arm) has begun. Returns whether the backend was told of nothing.
    pub(super) fn disarm(&self) -> bool {
        self.context.is_armed.xchg(false, Relaxed)
    }

    /// Tells the backend of an overflow that the event has not noticed.
    pub(super) fn report(&self) {
        self.context.report();
    }

    /// Stops the event, which may be one of another thread. Returns how far it has counted. May
    /// sleep.
    pub(super) fn end(&self) -> u64 {
        // SAFETY: By the invariants, the event is alive.
        unsafe { bindings::perf_event_pause(self.event.as_ptr(), false) }
    }

    /// Begins to count. Returns how far the event has counted before.
    fn begin(&self, period: u64) -> u64 {
        self.context.is_armed.store(true, Relaxed);
        // SAFETY: By the invariants, the event is alive, and it does not count.
        unsafe {
            let count = Self::counted(self.event.as_ptr());
            bindings::perf_event_period(self.event.as_ptr(), period);
            bindings::perf_event_enable(self.event.as_ptr());
            count
        }
    }

    /// Begins a period of an event that has begun to count. Returns how far it has counted.
    fn begin_again(&self, period: u64) -> u64 {
        // Where perf had no counter for the event, it has stopped.
        self.restart(period).unwrap_or_else(|| self.begin(period))
    }

    /// Begins a period, and returns how far the event has counted, if it counts.
    fn restart(&self, period: u64) -> Option<u64> {
        let event = self.event.as_ptr();
        let restart = |_: &LocalInterruptDisabled| {
            self.context.is_armed.store(true, Relaxed);
            // SAFETY: By the invariants, the event is alive. With interrupts disabled, one that is
            // on this CPU stays there.
            unsafe {
                Self::is_here(event).then(|| {
                    Self::set_period_here(event, period);
                    Self::counted(event)
                })
            }
        };
        // SAFETY: The function makes no guard of disabled interrupts.
        unsafe { irqs_saved(restart) }
    }

    /// Returns how far the event has counted. The event is one of the current thread; otherwise
    /// what it counts at the time is missing.
    pub(super) fn count(&self) -> u64 {
        let event = self.event.as_ptr();
        let read = |_: &LocalInterruptDisabled| {
            // SAFETY: By the invariants, the event is alive. With interrupts disabled, one that is
            // on this CPU stays there, so that its PMU can be asked.
            unsafe {
                if Self::is_here(event) {
                    if let Some(read) = (*(*event).pmu).read {
                        read(event);
                    }
                }
                Self::counted(event)
            }
        };
        // SAFETY: The function makes no guard of disabled interrupts.
        unsafe { irqs_saved(read) }
    }

    /// Returns whether the event is one of the current thread.
    #[inline]
    pub(super) fn is_of_current_thread(&self) -> bool {
        // SAFETY: By the invariants, the event is alive. The field never changes, and the event has
        // a reference to the thread.
        unsafe { (*self.event.as_ptr()).hw.target == Task::current_raw() }
    }

    /// Returns whether the event counts on this CPU. It does not where perf had no counter for it.
    ///
    /// # Safety
    ///
    /// The event must be alive.
    unsafe fn is_here(event: *mut bindings::perf_event) -> bool {
        // SAFETY: By the requirement.
        let on_cpu = unsafe { (&raw const (*event).oncpu).read_volatile() };
        u32::try_from(on_cpu) == Ok(CpuId::current().as_u32())
    }

    /// Returns how far the event had counted when that was last brought up to date.
    ///
    /// # Safety
    ///
    /// The event must be alive.
    unsafe fn counted(event: *mut bindings::perf_event) -> u64 {
        // SAFETY: By the requirement.
        unsafe { (&raw const (*event).count.a.a.counter).read_volatile() as u64 }
    }

    /// Begins a period, and brings the count up to date.
    ///
    /// # Safety
    ///
    /// Interrupts must be disabled, and the event must count on this CPU.
    unsafe fn set_period_here(event: *mut bindings::perf_event, period: u64) {
        // SAFETY: By the requirement. While the event is stopped, nobody else uses what is changed.
        unsafe {
            let pmu = (*event).pmu;
            let (Some(stop), Some(start)) = ((*pmu).stop, (*pmu).start) else {
                return;
            };
            stop(event, bindings::PERF_EF_UPDATE as c_int);
            (*event).attr.__bindgen_anon_1.sample_period = period;
            (*event).hw.sample_period = period;
            (*event)
                .hw
                .__bindgen_anon_2
                .__bindgen_anon_1
                .period_left
                .a
                .a
                .counter = 0;
            start(event, bindings::PERF_EF_RELOAD as c_int);
        }
    }

    /// Tells the backend of an overflow, if the counter runs.
    ///
    /// A period that was to end at the overflow is over, and the event would count another one of
    /// the same length. The guest chooses it, and could keep the host busy with interrupts. So the
    /// next one is a whole turn of the counter.
    ///
    /// # Safety
    ///
    /// To be called by the PMU on which `event` counts, on the CPU that it counts on, with
    /// interrupts disabled. It must have been made by [`new`](Self::new).
    unsafe extern "C" fn overflowed(
        event: *mut bindings::perf_event,
        _data: *mut bindings::perf_sample_data,
        _regs: *mut bindings::pt_regs,
    ) {
        // SAFETY: By the requirement, the context is that of `new()`, which stays until the event
        // has been released. After that, the handler is not called.
        let context = unsafe { &*(*event).overflow_handler_context.cast::<Context<B>>() };
        if context.is_armed.xchg(false, Relaxed) {
            context.report();
        }
        // SAFETY: By the requirement.
        unsafe { Self::set_period_here(event, context.turn.period(0)) };
    }
}

impl<B: Backend> Drop for PerfEvent<B> {
    fn drop(&mut self) {
        // SAFETY: By the invariants, the event is alive, and nobody uses it any more. When this
        // returns, it counts nothing, so the handler does not run.
        unsafe { bindings::perf_event_release_kernel(self.event.as_ptr()) };
    }
}
