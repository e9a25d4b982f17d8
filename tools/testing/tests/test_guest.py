# SPDX-License-Identifier: GPL-2.0
"""A real VMM boots a real Linux guest to user space."""

import pytest

from harness import guest
from harness.vm import Vm
from workspace.errors import Failure

# In place of a kernel: a jump to itself.
STUCK = r"\x6f\x00\x00\x00"
# What QEMU says of memory that is not there, without and with the address from KVM.
CANNOT = "(kvm run failed|Convert non guest_memfd backed memory region)"
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
    take_memory_away(host)
    with pytest.raises(Failure, match=f"could not be run: .*{CANNOT}"):
        with Vm(host, options=OPTIONS):
            pass
    host.judge()
    # QEMU waits for somebody who looks at its guest.
    host.check("killall -9 qemu-system-riscv64")
    host.until(f"! ls {guest.EXITS}", "The first guest did not end")
    take_memory_away(host)
    with pytest.raises(Failure, match=f"cannot go on: .*{CANNOT}"):
        guest.boot(host, 1, options=OPTIONS)
    # The host's shell waits for the second QEMU.
    host.judge_log()
    slot.discard()


def take_memory_away(host):
    """As soon as the only guest runs, let the file end before the memory does."""
    host.check(f"(until test \"$(cat {guest.EXITS})\" -gt {guest.SOME}; "
               f"do sleep 0.1; done; : >{RAM}) >/dev/null 2>&1 &")
