// SPDX-License-Identifier: GPL-2.0

//! Static keys that Rust code defines.
//!
//! A branch on a static key is a `nop` or a jump in the instruction stream, patched when the key is
//! switched: no load, and no branch to mispredict.
//!
//! C header: [`include/linux/jump_label.h`](srctree/include/linux/jump_label.h)

use crate::{
    bindings,
    types::Opaque, //
};

/// A static key that is off until [`enable`](Self::enable) is called.
#[repr(transparent)]
pub struct StaticKey {
    // Visible to `static_key!`, which names the field.
    #[doc(hidden)]
    pub key: Opaque<bindings::static_key_false>,
}

// SAFETY: The C side serializes all access to a key.
unsafe impl Sync for StaticKey {}

impl StaticKey {
    /// Returns a key that is off.
    #[expect(clippy::new_without_default)]
    pub const fn new() -> Self {
        // SAFETY: All-zero is the valid initial state of a key that is off.
        let key = unsafe { core::mem::MaybeUninit::zeroed().assume_init() };
        Self {
            key: Opaque::new(key),
        }
    }

    /// Switches the key on, and patches all branches on it. May sleep.
    #[inline]
    pub fn enable(&'static self) {
        // SAFETY: `self` is a valid key that lives for ever.
        unsafe { bindings::static_key_enable(self.key.get().cast()) };
    }

    /// Switches the key off, and patches all branches on it. May sleep.
    #[inline]
    pub fn disable(&'static self) {
        // SAFETY: `self` is a valid key that lives for ever.
        unsafe { bindings::static_key_disable(self.key.get().cast()) };
    }
}

/// Returns whether a [`StaticKey`], named by the path of its static, is on.
#[macro_export]
macro_rules! static_key_enabled {
    ($key:path) => {{
        use $crate::static_key::StaticKey;
        // SAFETY: The path names a static of this type, which has the layout of the C type.
        #[allow(unused_unsafe)]
        unsafe {
            $crate::jump_label::arch_static_branch!($key, StaticKey, key, false)
        }
    }};
}
pub use static_key_enabled;
