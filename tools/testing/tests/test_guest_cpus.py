# SPDX-License-Identifier: GPL-2.0
"""vCPUs that change the host CPU, by choice and because theirs goes away."""

import pytest

from harness import load
from harness.vm import Vm

pytestmark = [pytest.mark.cpus("rv64"), pytest.mark.rust_sample]

# For all moves of a guest, on a busy machine, too.
TIMEOUT = 240
CPU1 = "/sys/devices/system/cpu/cpu1/online"


def pin(vm, cpus):
    """Pin each vCPU to one CPU of the host, and see it there."""
    for thread, cpu in zip(vm.threads(), cpus):
        vm.host.check(f"taskset -p {1 << cpu:x} {thread}")
    load.advance(vm)
    for thread, cpu in zip(vm.threads(), cpus):
        # The fields after the name, which may hold blanks, begin with the 3rd.
        stat = vm.host.check(f"cat /proc/{vm.pid}/task/{thread}/stat")
        assert int(stat.rsplit(")", 1)[1].split()[39 - 3]) == cpu


def test_pinned(host, report):
    """vCPUs go on where they are put: apart, swapped, together."""
    with Vm(host) as vm:
        load.start(vm)
        for _ in range(5 if report.settings.full else 1):
            for cpus in (0, 1), (1, 0), (0, 0), (1, 1):
                pin(vm, cpus)
        load.finish(vm)


@pytest.mark.parametrize("vcpus", (2, 4))
def test_restless(host, report, vcpus):
    """vCPUs that are moved all the time, faster than they finish anything, and
    that are as many as the host has CPUs, or more."""
    moves = 300 if report.settings.full else 80 // vcpus
    with Vm(host, vcpus=vcpus) as vm:
        load.start(vm)
        there, back = (
            "; ".join(f"taskset -p {1 << (number + first) % 2:x} {thread}"
                      for number, thread in enumerate(vm.threads()))
            for first in (0, 1))
        host.check(f"for move in $(seq {moves}); do "
                   f"{there}; usleep 1000; {back}; usleep 1000; "
                   "done >/dev/null",
                   timeout=max(TIMEOUT, moves * vcpus // 2))
        load.advance(vm, timeout=load.TIMEOUT * vcpus // 2)
        load.finish(vm)


def test_host_cpu_goes(host, report):
    """A guest goes on while the host loses a CPU and gets it back."""
    with Vm(host) as vm:
        load.start(vm)
        for _ in range(8 if report.settings.full else 2):
            host.check(f"echo 0 >{CPU1}")
            assert int(host.check("nproc")) == 1
            load.advance(vm)
            host.check(f"echo 1 >{CPU1}")
            assert int(host.check("nproc")) == 2
            load.advance(vm)
        load.finish(vm)
