# SPDX-License-Identifier: GPL-2.0
"""Devices of QEMU's that a guest uses: a disk and a network card."""

import pytest

from harness import load
from harness.vm import Vm

pytestmark = [pytest.mark.cpus("rv64"), pytest.mark.stock]

DISK = ("-drive file=/dev/vdc,format=raw,if=none,id=disk "
        "-device virtio-blk-device,drive=disk")
# Where the host mounts the same disk, after the guest.
MOUNTED = "/tmp/disk"
# Where both serve files, and where the host reaches the guest's server.
WWW = "/tmp/www"
PORT = 8080
FORWARDED = 8081
NETWORK = (f"-netdev user,id=net,hostfwd=tcp:127.0.0.1:{FORWARDED}-:{PORT} "
           "-device virtio-net-device,netdev=net")
ADDRESS = "10.0.2.15/24"
# The host, as QEMU's user networking has it.
GATEWAY = "10.0.2.2"
KIB = 4096


def md5(machine, path):
    return machine.check(f"md5sum {path}").split()[0]


@pytest.fixture
def disk(host, slot):
    """An empty file system on the guest's disk, and where the host mounts it."""
    host.check(f"mke2fs /dev/vdc && mkdir -p {MOUNTED}")
    yield MOUNTED
    slot.undo(f"! grep -q ' {MOUNTED} ' /proc/mounts || umount {MOUNTED}")


@pytest.fixture
def served(host, slot):
    """A file that the host serves, of which this is the checksum."""
    host.check("ip link set lo up")
    host.check(f"mkdir -p {WWW} && head -c {KIB}k /dev/urandom >{WWW}/file")
    server = int(host.check(f"httpd -f -p 127.0.0.1:{PORT} -h {WWW} "
                            ">/dev/null & echo $!"))
    yield md5(host, f"{WWW}/file")
    slot.undo(f"kill {server} && rm -r {WWW}")


def test_disk(host, disk):
    """What a guest writes to its disk is what the host finds there."""
    expected = load.checksum("disk", KIB)
    with Vm(host, options=DISK) as vm:
        vm.check("mount -t ext4 /dev/vda /mnt")
        vm.check(f"load pattern disk {KIB} >/mnt/file")
        vm.check("umount /mnt")
        vm.check("mount -t ext4 -o ro /dev/vda /mnt")
        assert md5(vm, "/mnt/file") == expected
    host.check(f"mount -t ext4 -o ro /dev/vdc {disk}")
    assert md5(host, f"{disk}/file") == expected


def test_network(host, served):
    """The guest reaches the host, and files arrive whole both ways."""
    with Vm(host, options=NETWORK) as vm:
        vm.check(f"ip addr add {ADDRESS} dev eth0 && ip link set eth0 up")
        vm.check(f"ping -c 3 {GATEWAY}")
        vm.check(f"mkdir {WWW}")
        vm.check(f"wget -q -O {WWW}/file http://{GATEWAY}:{PORT}/file")
        assert md5(vm, f"{WWW}/file") == served
        vm.check(f"httpd -p {PORT} -h {WWW}")
        host.check("wget -q -O /tmp/returned "
                   f"http://127.0.0.1:{FORWARDED}/file")
    assert md5(host, "/tmp/returned") == served
    host.check("rm /tmp/returned")
