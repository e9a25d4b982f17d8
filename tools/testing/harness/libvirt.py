# SPDX-License-Identifier: GPL-2.0
"""Debian's libvirt in a host, and a guest of it."""

import contextlib

from . import debian_disk
from .debian_disk import ROOT

NAME = "guest"
START_TIMEOUT = 120
# The guest's console, as QEMU names a pair of pipes, and what it has said.
CONSOLE = "/tmp/console"
LOG = f"{ROOT}{CONSOLE}.log"
# libvirt wants to know of the second one, and is told to use the first.
USERS = {"root": 0, "libvirt-qemu": 64055}
# There is no service but libvirt's own.
CONFIGURATION = {
    "qemu.conf": ('user = "root"', 'group = "root"', 'security_driver = "none"',
                  'stdio_handler = "file"', "cgroup_controllers = []",
                  "namespaces = []", "remember_owner = 0"),
    "libvirtd.conf": ('auth_unix_rw = "none"', 'unix_sock_group = "root"'),
}
DOMAIN = f"""\
<domain type='kvm'>
  <name>{NAME}</name>
  <memory unit='MiB'>256</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='riscv64' machine='virt'>hvm</type>
    <kernel>/payload/Image</kernel>
    <initrd>/payload/initramfs</initrd>
    <cmdline>console=ttyS0 loglevel=5 panic=-1 guest_mode=shell</cmdline>
  </os>
  <cpu mode='host-passthrough'/>
  <devices>
    <emulator>/usr/bin/qemu-system-riscv64</emulator>
    <controller type='usb' model='none'/>
    <serial type='pipe'><source path='{CONSOLE}'/></serial>
    <memballoon model='none'/>
  </devices>
</domain>
"""


@contextlib.contextmanager
def running(host):
    """libvirtd, with a guest that is defined and does not run."""
    debian_disk.mount(host)
    for place in ("run", "tmp"):
        host.check(f"mount -t tmpfs tmpfs {ROOT}/{place}")
    for name, number in USERS.items():
        host.check(f"echo {name}:x:{number}:{number}::/:/bin/sh "
                   f">>{ROOT}/etc/passwd; "
                   f"echo {name}:x:{number}: >>{ROOT}/etc/group")
    host.check(f"rmdir {ROOT}/var/run; ln -s /run {ROOT}/var/run; "
               f"tr -d - </proc/sys/kernel/random/uuid >{ROOT}/etc/machine-id")
    for file, lines in CONFIGURATION.items():
        for line in lines:
            host.check(f"echo '{line}' >>{ROOT}/etc/libvirt/{file}")
    for line in DOMAIN.splitlines():
        host.check(f'echo "{line}" >>{ROOT}/tmp/{NAME}.xml')
    host.check(f"cd {ROOT}/tmp && mkfifo console.in console.out && "
               f"cat <>console.out >console.log 2>&1 &")
    host.check("ip link set lo up")
    host.check(f"chroot {ROOT} /usr/sbin/libvirtd >{ROOT}/tmp/libvirtd.log "
               "2>&1 &")
    host.until(f"chroot {ROOT} virsh -c qemu:///system uri || "
               f"! tail -n 5 {ROOT}/tmp/libvirtd.log",
               "libvirtd does not answer", START_TIMEOUT)
    virsh(host, f"define /tmp/{NAME}.xml")
    yield
    virsh(host, f"undefine {NAME}")
    host.check("killall libvirtd")


def in_root(host, command):
    """Run a command in the root with libvirt; return what it prints."""
    return host.check(f"chroot {ROOT} {command}", START_TIMEOUT)


def virsh(host, command):
    """Run one of virsh's commands; return what it prints."""
    return in_root(host, f"virsh -c qemu:///system {command}")


def says(host, text):
    """Wait until the guest has said something on its console."""
    host.until(f"grep -q '{text}' {LOG}",
               f"libvirt: the guest has not said {text}", START_TIMEOUT)


def computes(host, number):
    """Let the guest's shell compute something."""
    host.check(f"echo 'echo result $(({number} * 7))' >>{ROOT}{CONSOLE}.in")
    says(host, f"^result {number * 7}")
