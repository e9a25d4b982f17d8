# SPDX-License-Identifier: GPL-2.0
"""Guests that are stopped, saved and moved while they work.

The load goes on writing to the guest's memory all the time. A page that the
dirty log misses is therefore an old page in the guest that arrives, and a
comparison that fails.

A QEMU that tells KVM that all harts but the first are stopped, wherever a guest
arrives, is given one vCPU to move, and others two.
"""

import time

import pytest

from harness import huge_pages, load, migration
from harness.vm import Vm

pytestmark = pytest.mark.rust_sample

STOPPED = 3
# A guest whose whole memory can be compared.
SMALL = "-m 64M"
# Pages that a guest that does something cannot do without, at least.
FETCHED = 50
# How QEMU asks KVM for what is dirty.
LOGS = {"bitmap": "kvm", "ring": "kvm,dirty-ring-size=4096"}


@pytest.fixture
def vcpus(host):
    """How many of them the guest has that is moved."""
    return 2 if migration.is_whole(host) else 1


def uptime(vm):
    return float(vm.check("cat /proc/uptime").split()[0])


@pytest.mark.cpus("rv64")
def test_stop(host):
    """A stopped guest does nothing, and has not noticed afterwards."""
    with Vm(host) as vm:
        load.start(vm)
        load.advance(vm)
        began = time.monotonic()
        before = uptime(vm)
        vm.qmp.execute("stop")
        stopped = time.monotonic()
        exits = vm.exits
        time.sleep(STOPPED)
        assert vm.exits == exits
        stopped = time.monotonic() - stopped
        vm.qmp.execute("cont")
        passed = uptime(vm) - before
        # /proc/uptime has hundredths of seconds.
        assert passed <= time.monotonic() - began - stopped + 0.02
        load.advance(vm)
        load.finish(vm)


@pytest.mark.cpus("rv64")
def test_save(host, vcpus):
    """A guest that is saved to a file goes on from there in a new QEMU."""
    with Vm(host, vcpus=vcpus) as vm:
        load.start(vm)
        load.advance(vm)
        said = migration.save(vm, "/tmp/saved")
        vm.quit()
    with Vm(host, vcpus=vcpus, incoming=True) as vm:
        migration.restore(vm, "/tmp/saved", said)
        host.check("rm /tmp/saved")
        load.advance(vm)
        load.finish(vm)


@pytest.mark.cpus("rv64", "max")
@pytest.mark.stock
@pytest.mark.parametrize("accel", LOGS.values(), ids=LOGS)
def test_live(host, report, vcpus, accel):
    """A guest that goes on working while its memory moves to another QEMU."""
    passes = 20 if report.settings.full else 4
    both = {"vcpus": vcpus, "accel": accel, "options": SMALL}
    with Vm(host, **both) as source, \
            Vm(host, slot=1, incoming=True, **both) as target:
        if accel != LOGS["bitmap"] and not migration.has_dirty_ring(source):
            # The next series that is pinned finds it.
            assert not migration.is_whole(host)
            source.quit()
            target.quit()
            pytest.skip("this QEMU (10.0) does not find the dirty ring of KVM "
                        "on RISC-V, and loses what the guest writes")
        load.start(source)
        load.advance(source)
        moved = migration.live(source, target, passes)
        if moved.stale or moved.passes < passes:
            raise source.failure(f"{moved.stale} pages are not what they were, "
                                 f"after {moved.passes} passes over memory")
        source.quit()
        migration.resume(target)
        load.advance(target, 2)
        load.finish(target)


@pytest.mark.cpus("rv64")
def test_postcopy(host, vcpus):
    """A guest goes on in another QEMU before its memory is there."""
    both = {"vcpus": vcpus, "options": SMALL}
    with Vm(host, **both) as source, \
            Vm(host, slot=1, incoming=True, **both) as target:
        load.start(source)
        load.advance(source)
        migration.postcopy(source, target)
        load.advance(target, 2)
        assert migration.follow(source, target) >= FETCHED
        source.quit()
        load.advance(target)
        load.finish(target)


@pytest.mark.cpus("rv64")
@pytest.mark.parametrize("enabled", ("always", "never"))
def test_cancelled(host, slot, enabled):
    """A guest that was to be moved and is not stays what it was, in huge pages,
    which were split to be logged, and without any.
    """
    if slot.backend == "c" and enabled == "always":
        pytest.skip("the C backend hangs in a write to small pages that were a "
                    "huge one, once they are no longer logged")
    with huge_pages.transparent(host, enabled), \
            Vm(host) as source, Vm(host, slot=1, incoming=True) as target:
        load.start(source)
        load.advance(source)
        migration.cancel(source, target)
        # QEMU's answer to a stream that ends too early.
        target.await_end(status=1)
        load.advance(source, 2)
        load.finish(source)
