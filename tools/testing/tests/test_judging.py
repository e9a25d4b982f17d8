# SPDX-License-Identifier: GPL-2.0
"""A host is judged by more than its log, and a test that spoils it fails."""

import pytest

from harness import guest
from harness.host import VMS
from workspace.errors import Failure

pytestmark = pytest.mark.cpus("rv64")


@pytest.mark.parametrize("flag, name", ((5, "B"), (7, "D"), (9, "W"), (14, "L")))
def test_taint_is_found(host, slot, flag, name):
    # Root may set a flag, and nobody takes one back.
    host.check(f"echo {1 << flag} >/proc/sys/kernel/tainted")
    with pytest.raises(Failure, match=f"tainted, {name}"):
        host.judge()
    slot.discard()


def test_vm_that_is_left_is_found(host, slot):
    # It does not come to its end by itself.
    host.check("GUEST_APPEND=guest_rounds=1000000000 "
               "guest-start /tmp/guest 1 fork")
    # The VM by which QEMU asks for the features of a vCPU, and which it closes,
    # has no exits.
    host.until(f"grep -qE '[0-9]{{4}}' {VMS}/[0-9]*-*/exits",
               "There is no VM that runs", guest.TIMEOUT)
    with pytest.raises(Failure, match="A VM is left"):
        slot.drop()


def test_module_in_use_is_found(host, slot):
    """Even if there is no VM: something else holds it."""
    host.check("sleep 600 </dev/kvm &")
    with pytest.raises(Failure, match="rmmod kvm"):
        slot.drop()
