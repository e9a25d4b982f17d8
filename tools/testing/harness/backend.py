# SPDX-License-Identifier: GPL-2.0
"""Which backend is in kvm.ko, as the host's own log tells it."""

import re

# The Rust module's first line names it; the C module's does not.
RUST_MARK = re.compile(r"\bkvm: \[rust\]")
LOADED_MARK = re.compile(r"\bkvm \[\w+\]: hypervisor extension available")


def loaded(log):
    """"rust", "c", or None where no kvm.ko has initialised."""
    if RUST_MARK.search(log):
        return "rust"
    if LOADED_MARK.search(log):
        return "c"
    return None
