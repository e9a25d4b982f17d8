// SPDX-License-Identifier: GPL-2.0

//! A call of the host.

use crate::{hart::Hart, machine::frame::Frame};
use core::cell::{Cell, RefCell};
use rustsbi::SbiRet;

/// A call that is being served.
pub struct Call<'a> {
    pub hart: RefCell<&'a mut Hart>,
    pub frame: RefCell<&'a mut Frame>,
    returns: Cell<bool>,
}

impl<'a> Call<'a> {
    /// Returns a call by the host that `frame` belongs to.
    pub fn new(hart: &'a mut Hart, frame: &'a mut Frame) -> Self {
        Self {
            hart: RefCell::new(hart),
            frame: RefCell::new(frame),
            returns: Cell::new(true),
        }
    }

    /// Notes that the function does not return to its caller.
    pub fn goes_elsewhere(&self) {
        self.returns.set(false);
    }

    /// Returns whether the function returns to its caller.
    pub fn returns(&self) -> bool {
        self.returns.get()
    }
}

/// Returns the answer of a function that concerns other harts.
pub fn done(harts_exist: bool) -> SbiRet {
    if harts_exist {
        SbiRet::success(0)
    } else {
        SbiRet::invalid_param()
    }
}
