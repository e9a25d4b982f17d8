// SPDX-License-Identifier: GPL-2.0

//! The numbers of the SBI calling convention, and the arguments that several functions share.
//!
//! Only names and decoding are here: which of it a guest may use is decided elsewhere. Numbers
//! come from guest registers, so every decoder takes any value.
//!
//! A parameter that the specification declares as `uint32_t` is decoded from a [`u32`]. It is up
//! to the caller to drop the upper half of the register, which carries nothing (chapter "Binary
//! Encoding").
//!
//! Reference: RISC-V Supervisor Binary Interface Specification, version 3.0. The nested
//! acceleration extension has its own module, [`nacl`](super::nacl).

/// Defines an enum of all the values that a field may have, and its conversions.
macro_rules! numbers {
    (
        $(#[$attr:meta])*
        pub enum $name:ident: $raw:ty {
            $($(#[$variant_attr:meta])* $variant:ident = $value:literal,)*
        }
    ) => {
        $(#[$attr])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr($raw)]
        pub enum $name {
            $($(#[$variant_attr])* $variant = $value,)*
        }

        impl $name {
            /// Decodes a register, or returns [`None`] if the value is not defined.
            #[inline(always)]
            pub const fn from_raw(raw: $raw) -> Option<Self> {
                match raw {
                    $($value => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// Returns the value as a register holds it.
            #[inline]
            pub const fn raw(self) -> $raw {
                self as $raw
            }
        }
    };
}

/// Returns the version number that `sbi_get_spec_version` reports: the minor number in the low 24
/// bits, the major number in the 7 bits above ("Base Extension").
#[inline]
pub const fn spec_version(major: u8, minor: u32) -> u64 {
    ((major & 0x7f) as u64) << 24 | (minor & 0xff_ffff) as u64
}

/// The implementation id of KVM ("SBI Implementation IDs").
pub const IMPL_ID_KVM: u64 = 3;

/// Both halves of a shared memory address have this value when the memory is taken back.
pub const SHMEM_DISABLE: u64 = u64::MAX;

/// The result of a successful call.
pub const SUCCESS: i64 = 0;

/// Why a call failed: what `a0` holds after it ("Standard SBI Errors").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i64)]
pub enum SbiError {
    /// `SBI_ERR_FAILED`: for no reason that has a code.
    Failed = -1,
    /// `SBI_ERR_NOT_SUPPORTED`: no such extension or function.
    NotSupported = -2,
    /// `SBI_ERR_INVALID_PARAM`: a parameter makes no sense.
    InvalidParam = -3,
    /// `SBI_ERR_DENIED`: not allowed.
    Denied = -4,
    /// `SBI_ERR_INVALID_ADDRESS`: an address makes no sense.
    InvalidAddress = -5,
    /// `SBI_ERR_ALREADY_AVAILABLE`: what was asked for is there.
    AlreadyAvailable = -6,
    /// `SBI_ERR_ALREADY_STARTED`: what was to be started runs.
    AlreadyStarted = -7,
    /// `SBI_ERR_ALREADY_STOPPED`: what was to be stopped does not run.
    AlreadyStopped = -8,
    /// `SBI_ERR_NO_SHMEM`: no shared memory was set.
    NoShmem = -9,
    /// `SBI_ERR_INVALID_STATE`: not in this state.
    InvalidState = -10,
    /// `SBI_ERR_BAD_RANGE`: outside of the range.
    BadRange = -11,
    /// `SBI_ERR_TIMEOUT`: took too long.
    Timeout = -12,
    /// `SBI_ERR_IO`: input or output failed.
    Io = -13,
    /// `SBI_ERR_DENIED_LOCKED`: locked against changes.
    DeniedLocked = -14,
}

impl SbiError {
    /// Turns the error that a call returned into a result.
    ///
    /// A number that is not defined is a failure with no code of its own.
    #[inline]
    pub const fn check(error: i64) -> Result<(), Self> {
        Err(match error {
            SUCCESS => return Ok(()),
            -2 => Self::NotSupported,
            -3 => Self::InvalidParam,
            -4 => Self::Denied,
            -5 => Self::InvalidAddress,
            -6 => Self::AlreadyAvailable,
            -7 => Self::AlreadyStarted,
            -8 => Self::AlreadyStopped,
            -9 => Self::NoShmem,
            -10 => Self::InvalidState,
            -11 => Self::BadRange,
            -12 => Self::Timeout,
            -13 => Self::Io,
            -14 => Self::DeniedLocked,
            _ => Self::Failed,
        })
    }

    /// Returns the error as a register holds it.
    #[inline]
    pub const fn raw(self) -> u64 {
        self as i64 as u64
    }
}

numbers! {
    /// The extensions of SBI v0.1, each a single function ("Legacy Extensions").
    ///
    /// They ignore `a6`, and return a value in `a0` and nothing in `a1`.
    pub enum Legacy: u64 {
        /// `sbi_set_timer`.
        SetTimer = 0x0,
        /// `sbi_console_putchar`.
        ConsolePutchar = 0x1,
        /// `sbi_console_getchar`.
        ConsoleGetchar = 0x2,
        /// `sbi_clear_ipi`.
        ClearIpi = 0x3,
        /// `sbi_send_ipi`.
        SendIpi = 0x4,
        /// `sbi_remote_fence_i`.
        RemoteFenceI = 0x5,
        /// `sbi_remote_sfence_vma`.
        RemoteSfenceVma = 0x6,
        /// `sbi_remote_sfence_vma_asid`.
        RemoteSfenceVmaAsid = 0x7,
        /// `sbi_shutdown`.
        Shutdown = 0x8,
    }
}

numbers! {
    /// The extensions with a name of their own.
    pub enum Standard: u64 {
        /// Base.
        Base = 0x10,
        /// Timer.
        Time = 0x5449_4d45,
        /// Inter-processor interrupts.
        Ipi = 0x0073_5049,
        /// Remote fences.
        Rfence = 0x5246_4e43,
        /// Hart state management.
        Hsm = 0x0048_534d,
        /// System reset.
        Srst = 0x5352_5354,
        /// Performance monitoring unit.
        Pmu = 0x0050_4d55,
        /// Debug console.
        Dbcn = 0x4442_434e,
        /// System suspend.
        Susp = 0x5355_5350,
        /// Collaborative processor performance control.
        Cppc = 0x4350_5043,
        /// Nested acceleration.
        Nacl = 0x4e41_434c,
        /// Steal-time accounting.
        Sta = 0x0053_5441,
        /// Supervisor software events.
        Sse = 0x0053_5345,
        /// Firmware features.
        Fwft = 0x4657_4654,
        /// Debug triggers.
        Dbtr = 0x4442_5452,
        /// Message proxy.
        Mpxy = 0x4d50_5859,
    }
}

/// An extension, as `a7` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtensionId {
    /// An extension of SBI v0.1.
    Legacy(Legacy),
    /// An extension with a name of its own.
    Standard(Standard),
    /// An experimental extension, by the low 24 bits of its number.
    Experimental(u32),
    /// An extension of the hart's vendor, by the low 24 bits of its number.
    Vendor(u32),
    /// An extension of the SBI implementation, by the low 24 bits of its number.
    Firmware(u32),
}

impl ExtensionId {
    const LOW_BITS: u64 = 0x00ff_ffff;
    const EXPERIMENTAL: u64 = 0x0800_0000;
    const VENDOR: u64 = 0x0900_0000;
    const FIRMWARE: u64 = 0x0a00_0000;

    /// Decodes `a7`, or returns [`None`] if no extension has this number.
    #[inline]
    pub const fn from_eid(eid: u64) -> Option<Self> {
        if let Some(standard) = Standard::from_raw(eid) {
            return Some(Self::Standard(standard));
        }
        if let Some(legacy) = Legacy::from_raw(eid) {
            return Some(Self::Legacy(legacy));
        }

        let low = (eid & Self::LOW_BITS) as u32;

        match eid & !Self::LOW_BITS {
            Self::EXPERIMENTAL => Some(Self::Experimental(low)),
            Self::VENDOR => Some(Self::Vendor(low)),
            Self::FIRMWARE => Some(Self::Firmware(low)),
            _ => None,
        }
    }

    /// Returns the number as `a7` holds it.
    #[inline]
    pub const fn eid(self) -> u64 {
        match self {
            Self::Legacy(legacy) => legacy.raw(),
            Self::Standard(standard) => standard.raw(),
            Self::Experimental(low) => Self::EXPERIMENTAL | (low as u64 & Self::LOW_BITS),
            Self::Vendor(low) => Self::VENDOR | (low as u64 & Self::LOW_BITS),
            Self::Firmware(low) => Self::FIRMWARE | (low as u64 & Self::LOW_BITS),
        }
    }
}

numbers! {
    /// Functions of [`Standard::Base`].
    pub enum BaseFn: u64 {
        /// `sbi_get_spec_version`.
        GetSpecVersion = 0,
        /// `sbi_get_impl_id`.
        GetImplId = 1,
        /// `sbi_get_impl_version`.
        GetImplVersion = 2,
        /// `sbi_probe_extension`.
        ProbeExtension = 3,
        /// `sbi_get_mvendorid`.
        GetMvendorid = 4,
        /// `sbi_get_marchid`.
        GetMarchid = 5,
        /// `sbi_get_mimpid`.
        GetMimpid = 6,
    }
}

numbers! {
    /// Functions of [`Standard::Time`].
    pub enum TimeFn: u64 {
        /// `sbi_set_timer`.
        SetTimer = 0,
    }
}

numbers! {
    /// Functions of [`Standard::Ipi`].
    pub enum IpiFn: u64 {
        /// `sbi_send_ipi`.
        SendIpi = 0,
    }
}

numbers! {
    /// Functions of [`Standard::Rfence`].
    pub enum RfenceFn: u64 {
        /// `sbi_remote_fence_i`.
        RemoteFenceI = 0,
        /// `sbi_remote_sfence_vma`.
        RemoteSfenceVma = 1,
        /// `sbi_remote_sfence_vma_asid`.
        RemoteSfenceVmaAsid = 2,
        /// `sbi_remote_hfence_gvma_vmid`.
        RemoteHfenceGvmaVmid = 3,
        /// `sbi_remote_hfence_gvma`.
        RemoteHfenceGvma = 4,
        /// `sbi_remote_hfence_vvma_asid`.
        RemoteHfenceVvmaAsid = 5,
        /// `sbi_remote_hfence_vvma`.
        RemoteHfenceVvma = 6,
    }
}

numbers! {
    /// Functions of [`Standard::Hsm`].
    pub enum HsmFn: u64 {
        /// `sbi_hart_start`.
        HartStart = 0,
        /// `sbi_hart_stop`.
        HartStop = 1,
        /// `sbi_hart_get_status`.
        HartGetStatus = 2,
        /// `sbi_hart_suspend`.
        HartSuspend = 3,
    }
}

numbers! {
    /// Functions of [`Standard::Srst`].
    pub enum SrstFn: u64 {
        /// `sbi_system_reset`.
        SystemReset = 0,
    }
}

numbers! {
    /// Functions of [`Standard::Pmu`].
    pub enum PmuFn: u64 {
        /// `sbi_pmu_num_counters`.
        NumCounters = 0,
        /// `sbi_pmu_counter_get_info`.
        CounterGetInfo = 1,
        /// `sbi_pmu_counter_config_matching`.
        CounterConfigMatching = 2,
        /// `sbi_pmu_counter_start`.
        CounterStart = 3,
        /// `sbi_pmu_counter_stop`.
        CounterStop = 4,
        /// `sbi_pmu_counter_fw_read`.
        CounterFwRead = 5,
        /// `sbi_pmu_counter_fw_read_hi`.
        CounterFwReadHi = 6,
        /// `sbi_pmu_snapshot_set_shmem`.
        SnapshotSetShmem = 7,
        /// `sbi_pmu_event_get_info`.
        EventGetInfo = 8,
    }
}

numbers! {
    /// Events of the firmware that [`Standard::Pmu`] counts ("Firmware events").
    pub enum FirmwareEvent: u32 {
        /// `SBI_PMU_FW_MISALIGNED_LOAD`.
        MisalignedLoad = 0,
        /// `SBI_PMU_FW_MISALIGNED_STORE`.
        MisalignedStore = 1,
        /// `SBI_PMU_FW_ACCESS_LOAD`.
        AccessLoad = 2,
        /// `SBI_PMU_FW_ACCESS_STORE`.
        AccessStore = 3,
        /// `SBI_PMU_FW_ILLEGAL_INSN`.
        IllegalInsn = 4,
        /// `SBI_PMU_FW_SET_TIMER`.
        SetTimer = 5,
        /// `SBI_PMU_FW_IPI_SENT`.
        IpiSent = 6,
        /// `SBI_PMU_FW_IPI_RECEIVED`.
        IpiReceived = 7,
        /// `SBI_PMU_FW_FENCE_I_SENT`.
        FenceISent = 8,
        /// `SBI_PMU_FW_FENCE_I_RECEIVED`.
        FenceIReceived = 9,
        /// `SBI_PMU_FW_SFENCE_VMA_SENT`.
        SfenceVmaSent = 10,
        /// `SBI_PMU_FW_SFENCE_VMA_RECEIVED`.
        SfenceVmaReceived = 11,
        /// `SBI_PMU_FW_SFENCE_VMA_ASID_SENT`.
        SfenceVmaAsidSent = 12,
        /// `SBI_PMU_FW_SFENCE_VMA_ASID_RECEIVED`.
        SfenceVmaAsidReceived = 13,
        /// `SBI_PMU_FW_HFENCE_GVMA_SENT`.
        HfenceGvmaSent = 14,
        /// `SBI_PMU_FW_HFENCE_GVMA_RECEIVED`.
        HfenceGvmaReceived = 15,
        /// `SBI_PMU_FW_HFENCE_GVMA_VMID_SENT`.
        HfenceGvmaVmidSent = 16,
        /// `SBI_PMU_FW_HFENCE_GVMA_VMID_RECEIVED`.
        HfenceGvmaVmidReceived = 17,
        /// `SBI_PMU_FW_HFENCE_VVMA_SENT`.
        HfenceVvmaSent = 18,
        /// `SBI_PMU_FW_HFENCE_VVMA_RECEIVED`.
        HfenceVvmaReceived = 19,
        /// `SBI_PMU_FW_HFENCE_VVMA_ASID_SENT`.
        HfenceVvmaAsidSent = 20,
        /// `SBI_PMU_FW_HFENCE_VVMA_ASID_RECEIVED`.
        HfenceVvmaAsidReceived = 21,
    }
}

numbers! {
    /// Functions of [`Standard::Dbcn`].
    pub enum DbcnFn: u64 {
        /// `sbi_debug_console_write`.
        Write = 0,
        /// `sbi_debug_console_read`.
        Read = 1,
        /// `sbi_debug_console_write_byte`.
        WriteByte = 2,
    }
}

numbers! {
    /// Functions of [`Standard::Susp`].
    pub enum SuspFn: u64 {
        /// `sbi_system_suspend`.
        SystemSuspend = 0,
    }
}

numbers! {
    /// Functions of [`Standard::Cppc`].
    pub enum CppcFn: u64 {
        /// `sbi_cppc_probe`.
        Probe = 0,
        /// `sbi_cppc_read`.
        Read = 1,
        /// `sbi_cppc_read_hi`.
        ReadHi = 2,
        /// `sbi_cppc_write`.
        Write = 3,
    }
}

numbers! {
    /// Functions of [`Standard::Sta`].
    pub enum StaFn: u64 {
        /// `sbi_steal_time_set_shmem`.
        SetShmem = 0,
    }
}

numbers! {
    /// Functions of [`Standard::Sse`].
    pub enum SseFn: u64 {
        /// `sbi_sse_read_attrs`.
        ReadAttrs = 0,
        /// `sbi_sse_write_attrs`.
        WriteAttrs = 1,
        /// `sbi_sse_register`.
        Register = 2,
        /// `sbi_sse_unregister`.
        Unregister = 3,
        /// `sbi_sse_enable`.
        Enable = 4,
        /// `sbi_sse_disable`.
        Disable = 5,
        /// `sbi_sse_complete`.
        Complete = 6,
        /// `sbi_sse_inject`.
        Inject = 7,
        /// `sbi_sse_hart_unmask`.
        HartUnmask = 8,
        /// `sbi_sse_hart_mask`.
        HartMask = 9,
    }
}

numbers! {
    /// Functions of [`Standard::Fwft`].
    pub enum FwftFn: u64 {
        /// `sbi_fwft_set`.
        Set = 0,
        /// `sbi_fwft_get`.
        Get = 1,
    }
}

numbers! {
    /// Features of [`Standard::Fwft`] ("FWFT Feature Types").
    pub enum FwftId: u32 {
        /// `MISALIGNED_EXC_DELEG`.
        MisalignedExcDeleg = 0,
        /// `LANDING_PAD`.
        LandingPad = 1,
        /// `SHADOW_STACK`.
        ShadowStack = 2,
        /// `DOUBLE_TRAP`.
        DoubleTrap = 3,
        /// `PTE_AD_HW_UPDATING`.
        PteAdHwUpdating = 4,
        /// `POINTER_MASKING_PMLEN`.
        PointerMaskingPmlen = 5,
    }
}

numbers! {
    /// Functions of [`Standard::Dbtr`].
    pub enum DbtrFn: u64 {
        /// `sbi_debug_num_triggers`.
        NumTriggers = 0,
        /// `sbi_debug_set_shmem`.
        SetShmem = 1,
        /// `sbi_debug_read_triggers`.
        ReadTriggers = 2,
        /// `sbi_debug_install_triggers`.
        InstallTriggers = 3,
        /// `sbi_debug_update_triggers`.
        UpdateTriggers = 4,
        /// `sbi_debug_uninstall_triggers`.
        UninstallTriggers = 5,
        /// `sbi_debug_enable_triggers`.
        EnableTriggers = 6,
        /// `sbi_debug_disable_triggers`.
        DisableTriggers = 7,
    }
}

numbers! {
    /// Functions of [`Standard::Mpxy`].
    pub enum MpxyFn: u64 {
        /// `sbi_mpxy_get_shmem_size`.
        GetShmemSize = 0,
        /// `sbi_mpxy_set_shmem`.
        SetShmem = 1,
        /// `sbi_mpxy_get_channel_ids`.
        GetChannelIds = 2,
        /// `sbi_mpxy_read_attributes`.
        ReadAttributes = 3,
        /// `sbi_mpxy_write_attributes`.
        WriteAttributes = 4,
        /// `sbi_mpxy_send_message_with_response`.
        SendMessageWithResponse = 5,
        /// `sbi_mpxy_send_message_without_response`.
        SendMessageWithoutResponse = 6,
        /// `sbi_mpxy_get_notification_events`.
        GetNotificationEvents = 7,
    }
}

numbers! {
    /// The state of a hart, as `sbi_hart_get_status` reports it ("HSM Hart States").
    pub enum HartState: u64 {
        /// Runs.
        Started = 0,
        /// Does not run, until it is started.
        Stopped = 1,
        /// Is about to be started.
        StartPending = 2,
        /// Is about to stop.
        StopPending = 3,
        /// Is in a low power state, until an interrupt wakes it.
        Suspended = 4,
        /// Is about to be suspended.
        SuspendPending = 5,
        /// Is about to resume.
        ResumePending = 6,
    }
}

/// How a hart is to be suspended ("HSM Hart Suspend Types").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HartSuspendType {
    /// The hart keeps its registers, in the way that every platform has.
    Retentive,
    /// The hart keeps its registers, in a way of the platform.
    RetentivePlatform(u32),
    /// The hart loses its registers, in the way that every platform has.
    NonRetentive,
    /// The hart loses its registers, in a way of the platform.
    NonRetentivePlatform(u32),
}

impl HartSuspendType {
    /// Decodes the argument, or returns [`None`] for a value that is reserved.
    #[inline]
    pub const fn from_raw(raw: u32) -> Option<Self> {
        match raw {
            0x0000_0000 => Some(Self::Retentive),
            0x1000_0000..=0x7fff_ffff => Some(Self::RetentivePlatform(raw)),
            0x8000_0000 => Some(Self::NonRetentive),
            0x9000_0000..=0xffff_ffff => Some(Self::NonRetentivePlatform(raw)),
            _ => None,
        }
    }
}

/// How the system is to be reset ("SRST System Reset Types").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetType {
    /// Power off.
    Shutdown,
    /// Power off and on.
    ColdReboot,
    /// Reset the processor and a part of the system.
    WarmReboot,
    /// In a way of the vendor or the platform.
    Platform(u32),
}

impl ResetType {
    /// Decodes the argument, or returns [`None`] for a value that is reserved.
    #[inline]
    pub const fn from_raw(raw: u32) -> Option<Self> {
        match raw {
            0 => Some(Self::Shutdown),
            1 => Some(Self::ColdReboot),
            2 => Some(Self::WarmReboot),
            0xf000_0000..=0xffff_ffff => Some(Self::Platform(raw)),
            _ => None,
        }
    }
}

/// Why the system is to be reset ("SRST System Reset Reasons").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetReason {
    /// None was given.
    NoReason,
    /// The system failed.
    SystemFailure,
    /// A reason of the SBI implementation.
    Implementation(u32),
    /// A reason of the vendor or the platform.
    Platform(u32),
}

impl ResetReason {
    /// Decodes the argument, or returns [`None`] for a value that is reserved.
    #[inline]
    pub const fn from_raw(raw: u32) -> Option<Self> {
        match raw {
            0 => Some(Self::NoReason),
            1 => Some(Self::SystemFailure),
            0xe000_0000..=0xefff_ffff => Some(Self::Implementation(raw)),
            0xf000_0000..=0xffff_ffff => Some(Self::Platform(raw)),
            _ => None,
        }
    }
}

/// How deep the system is to sleep ("SUSP System Sleep Types").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SleepType {
    /// All state is kept in memory.
    SuspendToRam,
    /// In a way of the platform.
    Platform(u32),
}

impl SleepType {
    /// Decodes the argument, or returns [`None`] for a value that is reserved.
    #[inline]
    pub const fn from_raw(raw: u32) -> Option<Self> {
        match raw {
            0 => Some(Self::SuspendToRam),
            0x8000_0000..=0xffff_ffff => Some(Self::Platform(raw)),
            _ => None,
        }
    }
}

/// A set of harts: the arguments `hart_mask` and `hart_mask_base` ("Hart list parameter").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HartMask {
    mask: u64,
    base: u64,
}

impl HartMask {
    /// The value of `hart_mask_base` that names every hart.
    const ALL_BASE: u64 = u64::MAX;

    /// Takes the two arguments.
    #[inline]
    pub const fn new(mask: u64, base: u64) -> Self {
        Self { mask, base }
    }

    /// Returns the set of all harts.
    #[inline]
    pub const fn all() -> Self {
        Self::new(0, Self::ALL_BASE)
    }

    /// Returns whether this is the set of all harts, whatever the mask says.
    #[inline]
    pub const fn is_all(self) -> bool {
        self.base == Self::ALL_BASE
    }

    /// Returns whether the hart is in the set.
    ///
    /// Harts below the base and from `base + 64` on never are. The distance to the base is compared
    /// rather than the sum, since the sum can overflow.
    #[inline]
    pub const fn contains(self, hartid: u64) -> bool {
        if self.is_all() {
            return true;
        }

        match hartid.checked_sub(self.base) {
            Some(bit @ 0..=63) => self.mask >> bit & 1 != 0,
            _ => false,
        }
    }

    /// Returns whether the mask names this hart and no other.
    #[inline(always)]
    pub const fn is_only(self, hartid: u64) -> bool {
        match hartid.checked_sub(self.base) {
            Some(bit @ 0..=63) => self.mask == 1 << bit && self.base != Self::ALL_BASE,
            _ => false,
        }
    }

    /// Returns the harts that the mask names: none for the set of all harts, which has no end. A
    /// number that would be too large is that of no hart.
    #[inline]
    pub fn iter(self) -> impl Iterator<Item = u64> + Clone {
        let mut left = if self.is_all() { 0 } else { self.mask };
        core::iter::from_fn(move || {
            let bit = (left != 0).then(|| left.trailing_zeros())?;
            left &= left - 1;
            Some(self.base.saturating_add(u64::from(bit)))
        })
    }

    /// Returns whether the mask names at most `n` harts. The set of all harts is larger.
    #[inline]
    pub const fn names_at_most(self, n: usize) -> bool {
        let mut left = self.mask;
        let mut named = 0;
        while left != 0 && named <= n {
            left &= left - 1;
            named += 1;
        }
        named <= n && !self.is_all()
    }

    /// Returns how many harts the mask names, or [`None`] for the set of all harts.
    ///
    /// If fewer harts than this are found in the set, then the mask names one that does not exist,
    /// which is an invalid parameter.
    #[inline]
    pub const fn count(self) -> Option<u32> {
        if self.is_all() {
            None
        } else {
            Some(self.mask.count_ones())
        }
    }
}

/// A range of addresses to fence: the arguments `start_addr` and `size` ("RFENCE Extension").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FenceRange {
    /// The whole address space.
    All,
    /// Some addresses, none of them beyond the end of the address space.
    Span {
        /// The first address.
        start: u64,
        /// How many bytes from there on.
        size: u64,
    },
}

impl FenceRange {
    /// Decodes the two arguments, or returns [`None`] for a range that leaves the address space.
    #[inline]
    pub const fn new(start: u64, size: u64) -> Option<Self> {
        if (start == 0 && size == 0) || size == u64::MAX {
            return Some(Self::All);
        }

        // The last address counts: the one after it may be 2^64.
        match start.checked_add(size.saturating_sub(1)) {
            Some(_) => Some(Self::Span { start, size }),
            None => None,
        }
    }
}
