# SPDX-License-Identifier: GPL-2.0
"""A disk with a root of Debian's, in a host or in a guest."""

# Where it is mounted.
ROOT = "/tmp/debian"
# By what name a host has it, behind its own disks.
HOST_DEVICE = "/dev/vdd"
# What a root needs of the system around it.
BOUND = ("dev", "payload", "proc", "sys")


def options(disk):
    """For the host's QEMU: the disk, to which nothing is written."""
    return ("-drive", f"file={disk},format=raw,if=none,id=debian,snapshot=on",
            "-device", "virtio-blk-device,drive=debian")


def guest_options():
    """For the QEMU of a guest: the host's disk, as the guest's first."""
    return (f"-drive file={HOST_DEVICE},format=raw,if=none,id=debian,readonly=on "
            "-device virtio-blk-device,drive=debian")


def mount(system, device=HOST_DEVICE, options=""):
    """Mount the disk in a host or in a guest, with its surroundings."""
    system.check(f"mkdir {ROOT} && mount -t ext4 {options} {device} {ROOT}")
    for place in BOUND:
        system.check(f"test ! -d /{place} || mount --rbind /{place} {ROOT}/{place}")


def command(line):
    """What runs a program of that root."""
    return f"chroot {ROOT} {line}"
