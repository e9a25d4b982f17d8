# SPDX-License-Identifier: GPL-2.0
"""Guests at work whose memory the host wants for something else, or wants to be
somewhere else: pages that are merged, moved, taken by a balloon, or refused.

The load compares what it reads with what it has written, all the time.
"""

import pytest

from harness import huge_pages, load, splats
from harness.guest_memory import MEMORY, cgroup, counted, mapped
from harness.vm import Vm

pytestmark = [pytest.mark.cpus("rv64"), pytest.mark.rust_sample]

KSM = "/sys/kernel/mm/ksm"
# Pages with the same contents, of all that a Linux guest has.
MERGED = 500
# Rounds of the load, while something goes on.
ROUNDS = 2
BALLOON = "-device virtio-balloon-device"
# What is left of the guest's memory, in MiB, and what is taken at least of what has
# been in use, in KiB.
SMALL = 80
TAKEN = 8 << 10
# In seconds: each page goes through the guest's driver and QEMU.
BALLOON_TIMEOUT = 180
# What a guest has in a file for a moment, in MiB: less than a file can have.
FILL = 80
FILL_AND_LEAVE = (f"dd if=/dev/zero of=/tmp/fill bs=1M count={FILL} 2>/dev/null "
                  "&& rm /tmp/fill")
# QEMU itself, and the guest's kernel, but not what fills the guest.
LIMIT = "100M"
KILLED = 128 + 9


@pytest.fixture
def merging(host, slot):
    """The host merges pages of guests that have the same contents."""
    host.check(f"cd {KSM} && echo 0 >sleep_millisecs && "
               "echo 20000 >pages_to_scan && echo 1 >run")
    yield
    # Takes apart what has been merged.
    slot.undo(f"echo 2 >{KSM}/run && echo 0 >{KSM}/run")


def test_merged_pages(host, merging):
    """Pages that the host has merged are the guest's own as soon as it writes
    them, and when the host takes them apart.
    """
    with Vm(host) as vm:
        load.start(vm)
        load.advance(vm)
        host.until(f'test "$(cat {KSM}/pages_sharing)" -gt {MERGED}',
                   "The host merged nothing", 180)
        # Some of it is written.
        before = counted(host, "cow_ksm")
        vm.check(FILL_AND_LEAVE, load.TIMEOUT)
        load.advance(vm, ROUNDS)
        assert counted(host, "cow_ksm") > before
        host.check(f"echo 2 >{KSM}/run")
        assert int(host.check(f"cat {KSM}/pages_sharing")) == 0
        load.advance(vm, ROUNDS)
        load.finish(vm)


def test_compaction(host):
    """A guest works on while the host moves its pages together."""
    # What the other one has left is a hole between pages.
    with Vm(host) as vm, Vm(host, slot=1) as other:
        other.check(FILL_AND_LEAVE, load.TIMEOUT)
        load.start(vm)
        load.advance(vm)
        other.kill()
        before = counted(host, "pgmigrate_success")
        for _ in range(ROUNDS):
            host.check("echo 1 >/proc/sys/vm/compact_memory")
            load.advance(vm)
        assert counted(host, "pgmigrate_success") > before
        load.finish(vm)


def test_balloon(host):
    """The host takes memory out of a guest, which works on, and gives it back."""
    # The host would make huge pages again of what is left of one, and fill the gaps.
    with huge_pages.transparent(host, "never"), Vm(host, options=BALLOON) as vm:
        load.start(vm)
        vm.check(FILL_AND_LEAVE, load.TIMEOUT)
        before = mapped(vm, "Rss")
        for size in (SMALL, MEMORY >> 10):
            vm.qmp.execute("balloon", {"value": size << 20})
            vm.until_is(lambda: vm.qmp.execute("query-balloon")["actual"] ==
                        size << 20, f"The guest does not have {size} MiB",
                        BALLOON_TIMEOUT)
            load.advance(vm)
            if size == SMALL:
                assert mapped(vm, "Rss") < before - TAKEN
        load.finish(vm)


def test_out_of_memory(host, slot):
    """A guest that wants more than the host lets it have is killed, and nothing
    is left of it; its neighbour does not notice.
    """
    with cgroup(slot) as path, Vm(host, slot=1) as other:
        load.start(other)
        with Vm(host, cgroup=path) as vm:
            load.start(vm)
            load.advance(vm)
            host.check(f"echo {LIMIT} >{path}/memory.max")
            vm.begin(FILL_AND_LEAVE)
            vm.await_end(KILLED, splats.OUT_OF_MEMORY.without)
        load.advance(other, ROUNDS)
        load.finish(other)
