# SPDX-License-Identifier: GPL-2.0
"""A Linux guest under kvm.ko, started in the host by Debian's own QEMU."""

import re
from dataclasses import dataclass

from workspace.errors import Failure

from . import splats
from .host import VMS

TIMEOUT = 120
# Of the only VM; and when it is well on its way, but not at its end.
EXITS = f"{VMS}/*-*/exits"
SOME = 100
UP = re.compile(r"^guest: up, (\d+) CPUs, Linux (\S+)", re.M)
GOOD = re.compile(r"^guest: good: every CPU ran", re.M)
# As a whole line: what is shown of it is not to be a half.
CANNOT_GO_ON = re.compile(rf"(?:{splats.EXIT_ERROR.pattern})\n")
ENDED = re.compile(
    r"^guest: qemu status (\d+), ended by ([a-z-]+), (\d+) exits", re.M)


@dataclass(frozen=True)
class Guest:
    """A guest that booted to user space and powered itself off."""

    vcpus: int
    seconds: float
    exits: int

    def __str__(self):
        plural = "" if self.vcpus == 1 else "s"
        return f"{self.vcpus} vCPU{plural}, {self.exits} exits"


def boot(host, vcpus, append="", timeout=TIMEOUT, options="", machine=""):
    """Boot a guest; fail unless it says itself that all is well."""
    command = f"guest {vcpus} check {options}".rstrip()
    if append:
        command = f"GUEST_APPEND='{append}' {command}"
    if machine:
        command = f"GUEST_MACHINE={machine} {command}"
    before = len(host.kernel_text())
    # QEMU only stops where it cannot go on, and would be waited for in vain.
    result = host.run(command, timeout, mark=r"guest: up, [^\n]*\n",
                      fatal=CANNOT_GO_ON)
    exit_error = splats.find_exit_error(host.kernel_text()[before:])
    text = re.sub(r"^.*?(?=guest: )", "", result.output, flags=re.M)
    complaint = splats.find(result.output)
    up = UP.search(text)
    ended = ENDED.search(text)
    if complaint:
        raise host.failure(splats.of_guest(complaint))
    if exit_error:
        raise host.failure(f"A vCPU could not be run: {exit_error}")
    if not up:
        raise host.failure("The guest did not say that it is up")
    if int(up.group(1)) != vcpus:
        raise host.failure(f"The guest has {up.group(1)} CPUs, not {vcpus}")
    if not GOOD.search(text):
        raise host.failure("The guest did not say that every CPU ran")
    if not ended or ended.group(2) != "guest-shutdown":
        raise host.failure("The guest did not power off")
    if result.status or ended.group(1) != "0":
        raise host.failure("The guest's QEMU failed")
    host.judge()
    return Guest(vcpus, result.marked, int(ended.group(3)))


def leave_running(host, vcpus):
    """Start a guest, of a host that is about to end with the guest in it."""
    host.check(f"guest-start /tmp/guest {vcpus} check")
    host.until(f'test "$(cat {EXITS})" -gt {SOME}', "The guest did not run",
               TIMEOUT)


def require_backend(host, wanted):
    """Fail unless the host's own log names the backend that was asked for."""
    found = host.backend()
    if found != wanted:
        raise Failure(f"kvm.ko is the {found} backend by the host's log, "
                      f"not {wanted}.",
                      f"See {host.kernel_log}")
    return found
