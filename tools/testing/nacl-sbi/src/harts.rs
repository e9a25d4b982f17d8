// SPDX-License-Identifier: GPL-2.0

//! Harts among each other.

pub mod remote;
