# SPDX-License-Identifier: GPL-2.0
"""What the Rust backend costs, measured against the C backend."""
