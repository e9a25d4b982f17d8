# SPDX-License-Identifier: GPL-2.0
"""Devices of QEMU's that a guest uses: a disk and a network card."""

from . import load

# How QEMU attaches a virtio device, by the ending of its name: with a wire, or on
# PCI, where it interrupts by messages.
WIRED, PCI = "device", "pci"
# Where the host mounts the disk, after the guest.
MOUNTED = "/tmp/disk"
# Where both serve files, and where the host reaches the guest's server.
WWW = "/tmp/www"
PORT = 8080
FORWARDED = 8081
ADDRESS = "10.0.2.15/24"
# The host, as QEMU's user networking has it.
GATEWAY = "10.0.2.2"
KIB = 4096


def disk(bus=WIRED):
    """QEMU's options for the disk that is /dev/vdc of the host."""
    return ("-drive file=/dev/vdc,format=raw,if=none,id=disk "
            f"-device virtio-blk-{bus},drive=disk")


def network(bus=WIRED):
    """QEMU's options for a card, and a way to the guest's server."""
    # Firmware for it, which nobody runs here, is not on the host's disk.
    no_rom = ",romfile=" if bus == PCI else ""
    return (f"-netdev user,id=net,hostfwd=tcp:127.0.0.1:{FORWARDED}-:{PORT} "
            f"-device virtio-net-{bus},netdev=net{no_rom}")


def file_system(host, slot):
    """An empty file system on that disk, for as long as a fixture yields; and
    where the host mounts it.
    """
    host.check(f"mke2fs /dev/vdc && mkdir -p {MOUNTED}")
    yield MOUNTED
    slot.undo(f"! grep -q ' {MOUNTED} ' /proc/mounts || umount {MOUNTED}")


def served_file(host, slot):
    """A file that the host serves, for as long as a fixture yields its checksum.
    """
    host.check("ip link set lo up")
    host.check(f"mkdir -p {WWW} && head -c {KIB}k /dev/urandom >{WWW}/file")
    server = int(host.check(f"httpd -f -p 127.0.0.1:{PORT} -h {WWW} "
                            ">/dev/null & echo $!"))
    yield md5(host, f"{WWW}/file")
    slot.undo(f"kill {server} && rm -r {WWW}")


def write_disk(vm):
    """Write a file in the guest, and read it from the disk."""
    vm.check("mount -t ext4 /dev/vda /mnt")
    vm.check(f"load pattern disk {KIB} >/mnt/file")
    vm.check("umount /mnt")
    vm.check("mount -t ext4 -o ro /dev/vda /mnt")
    assert md5(vm, "/mnt/file") == load.checksum("disk", KIB)


def check_disk(host, mounted):
    """What the guest has written is what the host finds."""
    host.check(f"mount -t ext4 -o ro /dev/vdc {mounted}")
    assert md5(host, f"{mounted}/file") == load.checksum("disk", KIB)


def use_network(vm, served):
    """The guest reaches the host, and files arrive whole both ways."""
    vm.check(f"ip addr add {ADDRESS} dev eth0 && ip link set eth0 up")
    vm.check(f"ping -c 3 {GATEWAY}")
    vm.check(f"mkdir {WWW}")
    vm.check(f"wget -q -O {WWW}/file http://{GATEWAY}:{PORT}/file")
    assert md5(vm, f"{WWW}/file") == served
    vm.check(f"httpd -p {PORT} -h {WWW}")
    vm.host.check("wget -q -O /tmp/returned "
                  f"http://127.0.0.1:{FORWARDED}/file")
    assert md5(vm.host, "/tmp/returned") == served
    vm.host.check("rm /tmp/returned")


def md5(machine, path):
    return machine.check(f"md5sum {path}").split()[0]
