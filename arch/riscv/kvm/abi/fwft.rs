// SPDX-License-Identifier: GPL-2.0

//! Firmware features: what the kernel of a guest has its firmware change. Depends on `core` alone.
//!
//! User space saves and restores them, feature by feature, and may take one away from the guest
//! (`struct kvm_riscv_sbi_fwft_feature`).
//!
//! Reference: RISC-V Supervisor Binary Interface Specification, version 3.0, "Firmware Features
//! Extension".

use super::{
    one_reg::{
        FwftFeature,
        FwftField,
        FwftReg,
        IsaExtId,
        Numbered, //
    },
    sbi::SbiError,
};

/// The flag of `sbi_fwft_set` by which the feature stays as it is until the hart is reset.
const LOCK: u64 = 1 << 0;

/// What the harts of the host let a guest choose.
#[derive(Clone, Copy, Debug)]
pub struct Host {
    /// Whether a guest can handle the exceptions of its misaligned accesses itself.
    pub delegates_misaligned: bool,
    /// The numbers of bits, besides 0, by which VS-mode can mask its pointers: bit 7 and bit 16.
    pub pmlens: u32,
}

impl Host {
    /// Returns whether a guest has a feature, where `has` tells whether it has an extension.
    pub fn supports(&self, feature: FwftFeature, has: impl Fn(IsaExtId) -> bool) -> bool {
        match feature {
            FwftFeature::MisalignedDeleg => self.delegates_misaligned,
            FwftFeature::PointerMasking => has(IsaExtId::Smnpm) && self.pmlens != 0,
            // A guest with one of the two has nothing to choose.
            FwftFeature::PteAdHwUpdating => has(IsaExtId::Svadu) && has(IsaExtId::Svade),
            FwftFeature::LandingPad => has(IsaExtId::Zicfilp),
            FwftFeature::ShadowStack => has(IsaExtId::Zicfiss),
        }
    }

    /// Returns a value of a feature, if the feature can have it.
    fn legal(&self, feature: FwftFeature, value: u64) -> Option<u8> {
        let value = u8::try_from(value).ok()?;
        let is_legal = match (feature, value) {
            (FwftFeature::PointerMasking, 1..) => {
                self.pmlens.checked_shr(value.into()).unwrap_or(0) & 1 != 0
            }
            _ => value <= 1,
        };
        is_legal.then_some(value)
    }
}

/// A feature of one vCPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Feature {
    /// Whether user space lets the guest have it.
    enabled: bool,
    /// Whether the guest cannot change it any more.
    locked: bool,
    value: u8,
}

/// The firmware features of a vCPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fwft([Feature; FwftFeature::COUNT as usize]);

impl Fwft {
    /// The features of a new vCPU.
    pub const NEW: Self = Self(
        [Feature {
            enabled: true,
            locked: false,
            value: 0,
        }; FwftFeature::COUNT as usize],
    );

    /// Returns the features after a reset of the hart. Those that user space has taken away stay
    /// away.
    pub fn after_reset(self) -> Self {
        Self(self.0.map(|feature| Feature {
            locked: false,
            value: 0,
            ..feature
        }))
    }

    fn get(&self, feature: FwftFeature) -> Feature {
        self.0[feature as usize]
    }

    /// Returns whether user space lets the guest have a feature.
    pub fn is_enabled(&self, feature: FwftFeature) -> bool {
        self.get(feature).enabled
    }

    /// Returns the value of a feature: 0 or 1, and the number of masked bits for
    /// [`FwftFeature::PointerMasking`].
    pub fn value(&self, feature: FwftFeature) -> u64 {
        u64::from(self.get(feature).value)
    }

    /// Returns whether a feature that is on or off is on.
    pub fn is_on(&self, feature: FwftFeature) -> bool {
        self.value(feature) == 1
    }

    /// Sets a feature for the guest, which has it: `sbi_fwft_set`.
    ///
    /// # Errors
    ///
    /// [`SbiError::InvalidParam`] for a value or for flags that there are not, and
    /// [`SbiError::DeniedLocked`] if the feature is locked.
    pub fn set(
        &mut self,
        host: &Host,
        feature: FwftFeature,
        value: u64,
        flags: u64,
    ) -> Result<(), SbiError> {
        if flags & !LOCK != 0 {
            return Err(SbiError::InvalidParam);
        }
        let state = &mut self.0[feature as usize];
        if state.locked {
            return Err(SbiError::DeniedLocked);
        }
        state.value = host.legal(feature, value).ok_or(SbiError::InvalidParam)?;
        state.locked = flags & LOCK != 0;
        Ok(())
    }

    /// Reads a register of user space.
    pub fn read(&self, reg: FwftReg) -> u64 {
        let state = self.get(reg.feature);
        match reg.field {
            FwftField::Enable => u64::from(state.enabled),
            FwftField::Flags => {
                if state.locked {
                    LOCK
                } else {
                    0
                }
            }
            FwftField::Value => u64::from(state.value),
        }
    }

    /// Writes a register of user space, which may change what the guest has locked. Returns
    /// [`None`], having done nothing, for a value that is not legal. Unknown flags are dropped.
    pub fn write(&mut self, host: &Host, reg: FwftReg, value: u64) -> Option<()> {
        let state = &mut self.0[reg.feature as usize];
        match reg.field {
            FwftField::Enable => {
                state.enabled = match value {
                    0 => false,
                    1 => true,
                    _ => return None,
                }
            }
            FwftField::Flags => state.locked = value & LOCK != 0,
            FwftField::Value => state.value = host.legal(reg.feature, value)?,
        }
        Some(())
    }
}
