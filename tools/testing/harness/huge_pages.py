# SPDX-License-Identifier: GPL-2.0
"""Whether the host makes huge pages of small ones by itself."""

import contextlib

TRANSPARENT = "/sys/kernel/mm/transparent_hugepage/enabled"
# What hosts are configured with.
DEFAULT = "always"


@contextlib.contextmanager
def transparent(host, enabled):
    """Memory that is mapped in the block is in huge pages "always" or "never".
    """
    host.check(f"echo {enabled} >{TRANSPARENT}")
    yield
    host.check(f"echo {DEFAULT} >{TRANSPARENT}")
