// SPDX-License-Identifier: GPL-2.0

//! What user space asks for by ioctls.

pub(crate) mod capability;
pub(crate) mod device;
pub(crate) mod ioctl;
pub(crate) mod one_reg;
