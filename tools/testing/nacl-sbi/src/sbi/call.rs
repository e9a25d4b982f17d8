// SPDX-License-Identifier: GPL-2.0

//! The call that is being served: the state that all extensions share.

use crate::{hart::Hart, machine::frame::Frame};
use core::cell::{Cell, RefCell};
use rustsbi::SbiRet;

/// A call that is being served, with the hart and the registers that it may change.
pub struct Call<'a> {
    pub hart: RefCell<&'a mut Hart>,
    pub frame: RefCell<&'a mut Frame>,
    returns: Cell<bool>,
}

impl<'a> Call<'a> {
    /// Returns a call of the host, whose registers are in `frame`.
    pub fn new(hart: &'a mut Hart, frame: &'a mut Frame) -> Self {
        Self {
            hart: RefCell::new(hart),
            frame: RefCell::new(frame),
            returns: Cell::new(true),
        }
    }

    /// Records that control does not return to the caller, so that its registers get no answer.
    pub fn goes_elsewhere(&self) {
        self.returns.set(false);
    }

    /// Returns whether control returns to the caller.
    pub fn returns(&self) -> bool {
        self.returns.get()
    }
}

/// Returns the answer of a function that takes a mask of harts, by whether all of them exist.
pub fn done(harts_exist: bool) -> SbiRet {
    if harts_exist {
        SbiRet::success(0)
    } else {
        SbiRet::invalid_param()
    }
}
