// SPDX-License-Identifier: GPL-2.0

//! What user space asks for: the ioctls that are the architecture's own.

pub(crate) mod capability;
pub(crate) mod ioctl;
pub(crate) mod one_reg;
