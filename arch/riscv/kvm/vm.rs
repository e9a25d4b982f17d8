// SPDX-License-Identifier: GPL-2.0

//! The state of a VM.

use crate::{
    abi::{
        aia::{
            HartIndex,
            Identity,
            Target, //
        },
        nospec,
        pte::Mode,
        warl::SatpSupport, //
    },
    aia::{
        aplic,
        layout::{
            Config,
            Host,
            Layout, //
        },
    },
    hart::guest_files,
    mmu::{
        table::Tree,
        tlb::TlbOwners,
        vmid::VmVmid, //
    },
    vcpu::timer::GuestTime, //
};
use kernel::{
    new_spinlock,
    once_box::OnceBox,
    prelude::*,
    raw_spinlock::RawSpinLock,
    sync::{
        atomic::{
            Atomic,
            AtomicFlag, //
        },
        SetOnce,
        SpinLock, //
    },
};

/// The widest G-stage translation scheme of the host's harts.
pub(crate) static MAX_MODE: SetOnce<Mode> = SetOnce::new();

/// What `vsatp` of the host's harts supports.
pub(crate) static SATP_SUPPORT: SetOnce<SatpSupport> = SetOnce::new();

/// An interrupt domain with its sources.
pub(crate) type Domain = aplic::Domain<KVec<Target>>;

/// The APLIC of a VM. Wires are set, and messages sent, in any context.
pub(crate) type Aplic = Pin<KBox<RawSpinLock<Domain>>>;

/// The interrupt controller of a VM in the kernel, which user space has initialized.
pub(crate) struct Irqchip {
    /// Which addresses belong to it.
    pub(crate) layout: Layout,
    /// The largest identity of each interrupt file.
    pub(crate) last: Identity,
    /// The APLIC, unless there are no wires.
    pub(crate) aplic: Option<Aplic>,
    /// The hart index and the index of each vCPU with an interrupt file, sorted by the former. Of
    /// several with the same hart index, the first one gets all messages.
    pub(crate) harts: KVec<(HartIndex, u32)>,
}

impl Irqchip {
    /// Returns the index of the vCPU with a hart index.
    pub(crate) fn index_of(&self, hart: HartIndex) -> Option<usize> {
        // In most guests, they are counted alike.
        if let Some(index) = self.at(hart.0 as usize, hart) {
            return Some(index);
        }
        let place = self.harts.partition_point(|(other, _)| *other < hart);
        self.at(place, hart)
    }

    /// Returns the index of the vCPU at a place of the table, if it has that hart index.
    #[inline]
    fn at(&self, place: usize, hart: HartIndex) -> Option<usize> {
        // The guest has chosen the number.
        let place = nospec::below(place as u64, self.harts.len() as u64)?;
        let (other, index) = self.harts.get(place as usize)?;
        (*other == hart).then_some(*index as usize)
    }

    /// Adds a vCPU to a sorted table of hart indices, and keeps it sorted.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`].
    pub(crate) fn add_hart(
        harts: &mut KVec<(HartIndex, u32)>,
        hart: HartIndex,
        index: u32,
    ) -> Result {
        harts.push((hart, index), GFP_KERNEL_ACCOUNT)?;
        // Almost all come in the right order, and `core`'s sort is 7 KB of code.
        let mut place = harts.len() - 1;
        while let Some([one, other]) = place
            .checked_sub(1)
            .and_then(|before| harts.get_mut(before..=place))
        {
            if *one <= *other {
                break;
            }
            core::mem::swap(one, other);
            place -= 1;
        }
        Ok(())
    }
}

/// The state of a VM.
#[pin_data]
pub(crate) struct VmState {
    /// The guest's page table.
    pub(crate) gstage: Tree,
    /// The VMID of the VM.
    pub(crate) vmid: VmVmid,
    /// The guest's time.
    pub(crate) time: GuestTime,
    /// The vCPUs whose translations the TLBs hold.
    pub(crate) tlb_owners: TlbOwners,
    /// How often a hart was started.
    pub(crate) starts: Atomic<u64>,
    /// Whether user space has enabled `KVM_MP_STATE_INIT_RECEIVED`, which resets a vCPU.
    pub(crate) mp_state_reset: AtomicFlag,
    /// Whether any vCPU has had a counter of the firmware that counts.
    pub(crate) counts_firmware: AtomicFlag,
    /// Whether user space has created the interrupt controller in the kernel.
    pub(crate) has_irqchip: AtomicFlag,
    /// How user space wants the interrupt controller to be.
    #[pin]
    pub(crate) irqchip_config: SpinLock<Config>,
    /// The interrupt controller, once user space has initialized it.
    irqchip: OnceBox<Irqchip>,
}

impl VmState {
    /// Returns the state of a new VM.
    pub(crate) fn new() -> Result<impl PinInit<Self, Error>> {
        let mode = *MAX_MODE.as_ref().ok_or(ENODEV)?;
        let host = Host {
            last_id: last_identity(),
            guest_files: guest_files::count(),
        };
        Ok(try_pin_init!(Self {
            gstage: Tree::new(mode)?,
            vmid: VmVmid::new(),
            time: GuestTime::new(),
            tlb_owners: TlbOwners::new()?,
            starts: Atomic::new(0),
            mp_state_reset: AtomicFlag::new(false),
            counts_firmware: AtomicFlag::new(false),
            has_irqchip: AtomicFlag::new(false),
            irqchip_config <- new_spinlock!(Config::new(host)),
            irqchip: OnceBox::new(),
        }))
    }

    /// Returns the interrupt controller in the kernel, if user space has initialized one.
    #[inline(always)]
    pub(crate) fn irqchip(&self) -> Option<&Irqchip> {
        self.irqchip.get()
    }

    /// Sets the interrupt controller. Returns `false` if there is one.
    pub(crate) fn set_irqchip(&self, irqchip: KBox<Irqchip>) -> bool {
        self.irqchip.set(irqchip.into())
    }
}

/// Returns the largest identity that interrupt files of guests can have: what the host's have, so
/// that each can be in either place.
fn last_identity() -> Identity {
    let last = guest_files::max_identity().unwrap_or(Identity::MAX);
    Identity::new(last).unwrap_or(Identity::LAST)
}
