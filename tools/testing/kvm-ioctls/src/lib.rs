// SPDX-License-Identifier: GPL-2.0

//! Has no code: the manifest is what this package is for.
