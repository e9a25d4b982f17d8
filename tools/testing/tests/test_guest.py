# SPDX-License-Identifier: GPL-2.0
"""A real VMM boots a real Linux guest to user space."""

import pytest

from harness import guest


@pytest.mark.parametrize("vcpus", (1, 2, 4))
def test_guest_boots(host, vcpus):
    started = guest.boot(host, vcpus)
    assert started.exits > 0
