# SPDX-License-Identifier: GPL-2.0
"""Devices of QEMU's that a guest uses: a disk and a network card."""

import pytest

from harness import guest_devices
from harness.vm import Vm

pytestmark = [pytest.mark.cpus("rv64"), pytest.mark.stock,
              pytest.mark.rust_sample]


def test_disk(host, disk):
    """What a guest writes to its disk is what the host finds there."""
    with Vm(host, options=guest_devices.disk()) as vm:
        guest_devices.write_disk(vm)
    guest_devices.check_disk(host, disk)


def test_network(host, served):
    """The guest reaches the host, and files arrive whole both ways."""
    with Vm(host, options=guest_devices.network()) as vm:
        guest_devices.use_network(vm, served)
