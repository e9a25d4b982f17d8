# SPDX-License-Identifier: GPL-2.0
"""A real VMM boots a real Linux guest to user space."""

import pytest

from harness import guest
from harness.vm import Vm
from workspace.errors import Failure

# In place of a kernel: a jump to itself.
STUCK = r"\x6f\x00\x00\x00"
# Memory that can be taken from the guest, as long as guest-qemu gives it.
RAM = "/tmp/ram"
OPTIONS = ("-kernel /tmp/stuck -machine memory-backend=ram -object "
           f"memory-backend-file,id=ram,size=256M,mem-path={RAM},share=on")


@pytest.mark.stock
@pytest.mark.parametrize("vcpus", (1, 2, 4))
def test_guest_boots(host, vcpus):
    started = guest.boot(host, vcpus)
    assert started.exits > 0


@pytest.mark.cpus("rv64")
def test_guest_that_cannot_go_on(host, slot):
    """A vCPU that KVM cannot run any further fails the test that has it."""
    host.check(f"printf '{STUCK}' >/tmp/stuck")
    # The file ends before the memory does, from a moment on.
    take_away = f"(sleep 3; : >{RAM}) &"
    host.check(take_away)
    with pytest.raises(Failure, match="could not be run: .*kvm run failed"):
        with Vm(host, options=OPTIONS):
            pass
    host.judge()
    host.check(take_away)
    with pytest.raises(Failure, match="cannot go on: .*kvm run failed"):
        guest.boot(host, 1, options=OPTIONS)
    # Both QEMUs wait for somebody who looks at their guests, and the host's shell
    # waits for one of them.
    host.judge_log()
    slot.discard()
