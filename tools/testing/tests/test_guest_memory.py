# SPDX-License-Identifier: GPL-2.0
"""Guests whose memory the host swaps out, or has in huge pages."""

import time

import pytest

from harness import huge_pages, load
from harness.guest_memory import MEMORY, cgroup, counted, mapped
from harness.vm import Vm

pytestmark = [pytest.mark.cpus("rv64"), pytest.mark.rust_sample]

HUGE = "/sys/kernel/mm/hugepages/hugepages-2048kB"
# The guest's memory in pages of 2 MiB.
HUGE_PAGES = MEMORY >> 11
# What the host is told to take away, from QEMU's anonymous memory alone.
RECLAIMED = "32M swappiness=max"
# How often at most, and the seconds in between. The kernel decides by statistics
# that may be 2 s old which of its lists it looks at; until it knows that its
# list of what was used of late is the longer one, it finds nothing to take.
RECLAIMS = 20
RECLAIM_INTERVAL = 0.5
# Whether the kernel has generations of pages (MGLRU) or two lists of them, each of
# which it asks guests about in its own way.
GENERATIONS = "/sys/kernel/mm/lru_gen/enabled"
LRU = {"lists": "n", "generations": "y"}
BACKED = ("-object memory-backend-file,id=ram,size=256M,mem-path=/tmp/huge "
          "-machine memory-backend=ram")
PREALLOCATED = ("-object memory-backend-ram,id=ram,size=256M,prealloc=on "
                "-machine memory-backend=ram")


def swapped(host):
    """How many pages the host has swapped out, and back in, so far."""
    return counted(host, "pswpout"), counted(host, "pswpin")


def reclaim(host, path):
    """Take memory away from guests. The host may find less than it is told to.
    """
    host.run(f"echo {RECLAIMED} >{path}/memory.reclaim")


def swap_out(host, vm, path):
    """Take memory away from a guest that works; and when it does not for a
    moment, since what it uses all the time, the host lets it have.
    """
    reclaim(host, path)
    vm.qmp.execute("stop")
    for _ in range(RECLAIMS):
        reclaim(host, path)
        if mapped(vm, "Swap"):
            break
        time.sleep(RECLAIM_INTERVAL)
    else:
        host.run(f"grep -E '^(anon|active|inactive|pgscan|pgsteal|pgdeact|thp)'"
                 f" {path}/memory.stat")
        raise vm.failure(f"Nothing was swapped out by {RECLAIMS} attempts")
    vm.qmp.execute("cont")


@pytest.fixture
def swappable(host, slot):
    """A group of processes whose memory the host can swap out."""
    host.check("mkswap /dev/vdc && swapon /dev/vdc")
    with cgroup(slot) as path:
        yield path
    slot.undo("swapoff /dev/vdc")


@pytest.fixture(params=LRU.values(), ids=LRU)
def lru(request, host, slot):
    """How the host knows which pages are in use."""
    host.check(f"echo {request.param} >{GENERATIONS}")
    yield
    slot.undo(f"echo n >{GENERATIONS}")


def test_swap(host, report, lru, swappable):
    """A guest finds all as it was that was swapped out under it."""
    with Vm(host, cgroup=swappable) as vm:
        load.start(vm)
        load.advance(vm)
        for _ in range(10 if report.settings.full else 1):
            out, back = swapped(host)
            swap_out(host, vm, swappable)
            load.advance(vm)
            now_out, now_back = swapped(host)
            assert now_out > out and now_back > back
        load.finish(vm)


def test_hugetlbfs(host):
    """A guest works in pages of hugetlbfs."""
    host.check(f"echo {HUGE_PAGES} >{HUGE}/nr_hugepages && "
               f"grep -qx {HUGE_PAGES} {HUGE}/nr_hugepages")
    host.check("mkdir /tmp/huge && "
               "mount -t hugetlbfs -o pagesize=2M hugetlbfs /tmp/huge")
    with Vm(host, options=BACKED) as vm:
        load.start(vm)
        load.advance(vm)
        free = int(host.check(f"cat {HUGE}/free_hugepages"))
        assert free < HUGE_PAGES
        # Nothing of the guest is anywhere else.
        assert mapped(vm, "Private_Hugetlb") == \
            (HUGE_PAGES - free) << 11
        load.finish(vm)
    assert int(host.check(f"cat {HUGE}/free_hugepages")) == HUGE_PAGES
    host.check(f"umount /tmp/huge && rmdir /tmp/huge && "
               f"echo 0 >{HUGE}/nr_hugepages")


def huge(vm):
    """How much of the guest's memory is in transparent huge pages, in KiB."""
    return mapped(vm, "AnonHugePages")


# How much of the memory is to be in huge pages: the kernel has its reasons to
# leave one out or to split it.
@pytest.mark.parametrize("enabled, least, most", (
    ("always", MEMORY // 2, MEMORY), ("never", 0, 0)), ids=("always", "never"))
def test_transparent_huge_pages(host, enabled, least, most):
    """A guest works in huge pages that the kernel made, and without any."""
    with huge_pages.transparent(host, enabled), \
            Vm(host, options=PREALLOCATED) as vm:
        load.start(vm)
        load.advance(vm)
        huge_pages.gather(vm, huge, least)
        load.advance(vm)
        assert least <= huge(vm) <= most
        load.finish(vm)
