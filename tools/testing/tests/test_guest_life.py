# SPDX-License-Identifier: GPL-2.0
"""Guests that come again, that are not alone, that end without a word."""

import pytest

from harness import guest, load
from harness.vm import Vm

pytestmark = [pytest.mark.cpus("rv64"), pytest.mark.rust_sample]


@pytest.mark.stock
def test_reboot(host, report):
    """A guest that reboots is a new one, in the same QEMU."""
    with Vm(host) as vm:
        pid = vm.pid
        for _ in range(10 if report.settings.full else 2):
            vm.check("touch /tmp/before")
            vm.reboot()
            vm.check("! test -e /tmp/before")
            assert int(vm.check("nproc")) == vm.vcpus
        assert vm.pid == pid
        load.start(vm)
        load.advance(vm)
        load.finish(vm)


def test_two_guests(host):
    """Guests of one host work at the same time and leave each other alone."""
    with Vm(host) as one, Vm(host, slot=1) as other:
        for vm in one, other:
            load.start(vm)
        for vm in one, other:
            load.advance(vm, 2)
        for vm in one, other:
            load.finish(vm)


def test_kill(host, report):
    """Nothing is left of a guest whose QEMU is killed while it works."""
    for _ in range(10 if report.settings.full else 1):
        with Vm(host) as vm:
            load.start(vm)
            load.advance(vm)
            vm.kill()
        host.check("rmmod kvm")
        host.load_kvm()
    guest.boot(host, 2)
