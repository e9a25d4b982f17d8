# SPDX-License-Identifier: GPL-2.0
"""A real VMM boots a real Linux guest to user space."""

import pytest

from harness import guest
from harness.vm import Vm
from workspace.errors import Failure

# In place of a kernel: lui t0, 0x10000; amoadd.w t1, t1, (t0). That is an AMO on
# the serial port, and KVM emulates none on a device.
STUCK = r"\xb7\x02\x00\x10\x2f\xa3\x62\x00"


@pytest.mark.parametrize("vcpus", (1, 2, 4))
def test_guest_boots(host, vcpus):
    started = guest.boot(host, vcpus)
    assert started.exits > 0


@pytest.mark.cpus("rv64")
def test_guest_that_cannot_go_on(host, slot):
    """A vCPU that KVM cannot run any further fails the test that has it."""
    host.check(f"printf '{STUCK}' >/tmp/stuck")
    with pytest.raises(Failure, match="could not be run: .*kvm run failed"):
        with Vm(host, options="-kernel /tmp/stuck"):
            pass
    with pytest.raises(Failure, match="cannot go on: .*kvm run failed"):
        guest.boot(host, 1, options="-kernel /tmp/stuck")
    # Both QEMUs wait for somebody who looks at their guests.
    slot.discard()
