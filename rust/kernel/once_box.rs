// SPDX-License-Identifier: GPL-2.0

//! Boxes that are set once, and read by one load.

use crate::{
    access_once::AccessOnce,
    prelude::*,
    sync::atomic::{
        ordering::Release,
        Atomic, //
    },
};
use core::{
    marker::PhantomData,
    pin::Pin,
    ptr, //
};

/// A place for a box, which may be set once, and then stays.
///
/// [`SetOnce`](crate::sync::SetOnce) does the same without an allocation, but a read of it is the
/// call of a helper, and a barrier.
///
/// # Invariants
///
/// The pointer is null, or that of a box which is this object's, and pinned.
pub struct OnceBox<T> {
    place: Atomic<*const T>,
    _owns: PhantomData<KBox<T>>,
}

// SAFETY: It is a box, which another thread may drop if it may drop a `T`.
unsafe impl<T: Send> Send for OnceBox<T> {}

// SAFETY: It gives all threads shared references to a `T`, which another thread may have made.
unsafe impl<T: Send + Sync> Sync for OnceBox<T> {}

impl<T> OnceBox<T> {
    /// Returns a place without a box.
    pub const fn new() -> Self {
        // INVARIANT: The pointer is null.
        Self {
            place: Atomic::new(ptr::null()),
            _owns: PhantomData,
        }
    }

    /// Returns what is in the box, if it has been set.
    #[inline(always)]
    pub fn get(&self) -> Option<&T> {
        // SAFETY: By the invariants. What is read through the pointer depends on it, so it is what
        // was written before the box was set.
        unsafe { self.place.read_once().as_ref() }
    }

    /// Sets the box. Returns `false`, and drops the new box, if there is one already.
    pub fn set(&self, value: Pin<KBox<T>>) -> bool {
        // SAFETY: The box stays where it is until it is dropped.
        let new = KBox::into_raw(unsafe { Pin::into_inner_unchecked(value) });
        // INVARIANT: The box is given to this object. Release: it is complete.
        match self.place.cmpxchg(ptr::null(), new.cast_const(), Release) {
            Ok(_) => true,
            Err(_) => {
                // SAFETY: The box has just been taken apart, and nobody else has it.
                drop(unsafe { KBox::from_raw(new) });
                false
            }
        }
    }
}

impl<T> Default for OnceBox<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for OnceBox<T> {
    fn drop(&mut self) {
        let place = self.place.read_once().cast_mut();
        if !place.is_null() {
            // SAFETY: By the invariants; nobody has a reference to what is in it any more.
            drop(unsafe { KBox::from_raw(place) });
        }
    }
}
