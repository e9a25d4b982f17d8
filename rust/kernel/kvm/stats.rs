// SPDX-License-Identifier: GPL-2.0

//! Statistics: the descriptors that user space reads, and counters of a vCPU.
//!
//! The names are those of the fields of `struct kvm_vm_stat` and `struct kvm_vcpu_stat`.

use crate::bindings;

/// A counter in `struct kvm_vcpu_stat`, made by [`vcpu_counter!`](crate::vcpu_counter).
#[derive(Clone, Copy)]
pub struct VcpuCounter {
    offset: usize,
}

impl VcpuCounter {
    /// # Safety
    ///
    /// `offset` must be that of a `u64` in `struct kvm_vcpu_stat`.
    #[doc(hidden)]
    pub const unsafe fn new(offset: usize) -> Self {
        Self { offset }
    }

    #[inline]
    pub(super) fn of(self, stat: *mut bindings::kvm_vcpu_stat) -> *mut u64 {
        stat.wrapping_byte_add(self.offset).cast()
    }
}

/// Names a counter of `struct kvm_vcpu_stat` by its field.
#[macro_export]
macro_rules! vcpu_counter {
    ($field:ident) => {{
        const COUNTER: $crate::kvm::stats::VcpuCounter = {
            // The field is a `u64`, or this does not compile.
            const _: fn(&$crate::bindings::kvm_vcpu_stat) -> &u64 = |stat| &stat.$field;
            let offset = ::core::mem::offset_of!($crate::bindings::kvm_vcpu_stat, $field);
            // SAFETY: This is the offset of a `u64`.
            unsafe { $crate::kvm::stats::VcpuCounter::new(offset) }
        };
        COUNTER
    }};
}
pub use vcpu_counter;

/// What a statistic counts, and how to read it.
#[derive(Clone, Copy)]
pub enum Kind {
    /// A count that only grows.
    Counter,
    /// A time in nanoseconds that only grows.
    TimeNs,
    /// A state, 0 or 1.
    Boolean,
    /// A histogram of times in nanoseconds with buckets of powers of two.
    TimeHistogram,
}

const NAME_SIZE: usize = bindings::KVM_STATS_NAME_SIZE as usize;

/// Returns the descriptor of the statistic `name`, of `size` words at `offset` bytes.
pub const fn desc(name: &str, kind: Kind, offset: usize, size: usize) -> bindings::kvm_stats_desc {
    let (ty, unit) = match kind {
        Kind::Counter => (
            bindings::KVM_STATS_TYPE_CUMULATIVE,
            bindings::KVM_STATS_UNIT_NONE,
        ),
        Kind::TimeNs => (
            bindings::KVM_STATS_TYPE_CUMULATIVE,
            bindings::KVM_STATS_UNIT_SECONDS,
        ),
        Kind::Boolean => (
            bindings::KVM_STATS_TYPE_INSTANT,
            bindings::KVM_STATS_UNIT_BOOLEAN,
        ),
        Kind::TimeHistogram => (
            bindings::KVM_STATS_TYPE_LOG_HIST,
            bindings::KVM_STATS_UNIT_SECONDS,
        ),
    };
    // Nanoseconds are 10^-9 of the unit.
    let exponent = match kind {
        Kind::TimeNs | Kind::TimeHistogram => -9,
        Kind::Counter | Kind::Boolean => 0,
    };
    let bytes = name.as_bytes();
    assert!(bytes.len() < NAME_SIZE);
    let mut field = [0; NAME_SIZE];
    let mut i = 0;
    while i < bytes.len() {
        field[i] = bytes[i];
        i += 1;
    }
    bindings::kvm_stats_desc {
        flags: ty | unit | bindings::KVM_STATS_BASE_POW10,
        exponent,
        size: size as u16,
        offset: offset as u32,
        bucket_size: 0,
        name: field,
    }
}

/// Returns the header for `count` descriptors of one kind of object.
pub const fn header(count: usize) -> bindings::kvm_stats_header {
    let id = size_of::<bindings::kvm_stats_header>();
    let desc = id + NAME_SIZE;
    bindings::kvm_stats_header {
        flags: 0,
        name_size: NAME_SIZE as u32,
        num_desc: count as u32,
        id_offset: id as u32,
        desc_offset: desc as u32,
        data_offset: (desc + count * size_of::<bindings::kvm_stats_desc>()) as u32,
    }
}

/// Emits the statics that describe the statistics of VMs and of vCPUs: those of the core, followed
/// by the counters of the architecture, which are named in the order of their fields.
#[macro_export]
macro_rules! kvm_stats {
    ($($counter:ident),* $(,)?) => {
        const _: () = {
            use $crate::{
                bindings,
                kvm::stats::{desc, header, Kind}, //
            };
            use ::core::mem::offset_of;

            const WORD: usize = size_of::<u64>();
            const HIST: usize = bindings::HALT_POLL_HIST_COUNT as usize;

            const VM: &[bindings::kvm_stats_desc] = &[
                desc(
                    "remote_tlb_flush",
                    Kind::Counter,
                    offset_of!(bindings::kvm_vm_stat, generic.remote_tlb_flush),
                    1,
                ),
                desc(
                    "remote_tlb_flush_requests",
                    Kind::Counter,
                    offset_of!(bindings::kvm_vm_stat, generic.remote_tlb_flush_requests),
                    1,
                ),
            ];

            const fn generic(name: &str, kind: Kind, offset: usize) -> bindings::kvm_stats_desc {
                let size = if matches!(kind, Kind::TimeHistogram) { HIST } else { 1 };
                desc(name, kind, offset, size)
            }

            const VCPU: &[bindings::kvm_stats_desc] = &[
                $crate::kvm_stats!(@generic generic, halt_successful_poll, Counter),
                $crate::kvm_stats!(@generic generic, halt_attempted_poll, Counter),
                $crate::kvm_stats!(@generic generic, halt_poll_invalid, Counter),
                $crate::kvm_stats!(@generic generic, halt_wakeup, Counter),
                $crate::kvm_stats!(@generic generic, halt_poll_success_ns, TimeNs),
                $crate::kvm_stats!(@generic generic, halt_poll_fail_ns, TimeNs),
                $crate::kvm_stats!(@generic generic, halt_wait_ns, TimeNs),
                $crate::kvm_stats!(@generic generic, halt_poll_success_hist, TimeHistogram),
                $crate::kvm_stats!(@generic generic, halt_poll_fail_hist, TimeHistogram),
                $crate::kvm_stats!(@generic generic, halt_wait_hist, TimeHistogram),
                $crate::kvm_stats!(@generic generic, blocking, Boolean),
                $(
                    desc(
                        stringify!($counter),
                        Kind::Counter,
                        offset_of!(bindings::kvm_vcpu_stat, $counter),
                        1,
                    ),
                )*
            ];

            // Every word has a descriptor, and the descriptors lie in the order of the words, or
            // the core would read past them.
            const fn words(descs: &[bindings::kvm_stats_desc]) -> usize {
                let mut sum = 0;
                let mut i = 0;
                while i < descs.len() {
                    assert!(descs[i].offset as usize == sum * WORD);
                    sum += descs[i].size as usize;
                    i += 1;
                }
                sum
            }
            const _: () = assert!(words(VM) * WORD == size_of::<bindings::kvm_vm_stat>());
            const _: () = assert!(words(VCPU) * WORD == size_of::<bindings::kvm_vcpu_stat>());

            #[repr(transparent)]
            struct Descs<const N: usize>([bindings::kvm_stats_desc; N]);
            // SAFETY: Never written.
            unsafe impl<const N: usize> Sync for Descs<N> {}

            const fn array<const N: usize>(descs: &[bindings::kvm_stats_desc]) -> Descs<N> {
                let mut array = [descs[0]; N];
                let mut i = 0;
                while i < N {
                    array[i] = descs[i];
                    i += 1;
                }
                Descs(array)
            }

            #[no_mangle]
            #[allow(non_upper_case_globals)]
            static kvm_vm_stats_desc: Descs<{ VM.len() }> = array(VM);
            #[no_mangle]
            #[allow(non_upper_case_globals)]
            static kvm_vm_stats_header: bindings::kvm_stats_header = header(VM.len());
            #[no_mangle]
            #[allow(non_upper_case_globals)]
            static kvm_vcpu_stats_desc: Descs<{ VCPU.len() }> = array(VCPU);
            #[no_mangle]
            #[allow(non_upper_case_globals)]
            static kvm_vcpu_stats_header: bindings::kvm_stats_header = header(VCPU.len());
        };
    };
    (@generic $f:ident, $field:ident, $kind:ident) => {
        $f(
            stringify!($field),
            Kind::$kind,
            offset_of!(bindings::kvm_vcpu_stat, generic.$field),
        )
    };
}
pub use kvm_stats;
