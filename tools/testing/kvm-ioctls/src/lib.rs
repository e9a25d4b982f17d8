// SPDX-License-Identifier: GPL-2.0

//! This package has no code: by its manifest, cargo fetches what the tests run.
