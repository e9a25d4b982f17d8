# SPDX-License-Identifier: GPL-2.0
"""What the host knows of a guest's memory, and a bound that it can set."""

import contextlib
import re

# Of each guest, in KiB.
MEMORY = 256 << 10
CGROUPS = "/sys/fs/cgroup"


def mapped(vm, field):
    """A field, in KiB, of what the host maps for the guest's memory."""
    found = vm.host.check(
        f"awk '$1 == \"Size:\" {{ memory = $2 == {MEMORY} }} "
        f"memory && $1 == \"{field}:\" {{ print $2 }}' /proc/{vm.pid}/smaps")
    if len(found.split()) != 1:
        raise vm.failure(f"QEMU has no one map of {MEMORY} KiB with {field}")
    return int(found)


def counted(host, name):
    """A number of /proc/vmstat."""
    return int(re.search(rf"^{name} (\d+)", host.check("cat /proc/vmstat"),
                         re.M).group(1))


@contextlib.contextmanager
def cgroup(slot):
    """A group of processes whose memory can be bounded and reclaimed.

    After a failure it stays, and the host is not used again.
    """
    path = f"{CGROUPS}/guest"
    slot.host.check(f"mount -t cgroup2 cgroup2 {CGROUPS}")
    slot.host.check(f"echo +memory >{CGROUPS}/cgroup.subtree_control")
    slot.host.check(f"mkdir {path}")
    yield path
    slot.undo(f"rmdir {path} && umount {CGROUPS}")
