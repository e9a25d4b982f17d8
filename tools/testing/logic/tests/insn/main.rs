// SPDX-License-Identifier: GPL-2.0

//! Tests of the decoding of guest instructions.

mod assembled;
mod csr;
mod encodings;
mod operands;
mod trapped;
