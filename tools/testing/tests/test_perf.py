# SPDX-License-Identifier: GPL-2.0
"""Debian's perf and trace-cmd, unchanged, in a host and in a guest."""

import dataclasses
import re

import pytest

from bench.measure import counting_machine
from harness import debian_disk, guest, slots, vm
from harness.host import Files, Host, Machine
from harness.vm import Vm
from workspace.errors import Failure

# The one with counters for guests.
CPU = "max"
# Runs for some ten million instructions, all in user mode but for a few.
LOOP = "i=0; while [ $i -lt 4000 ]; do i=$((i + 1)); done"
PERIOD = 100_000
# How far a measurement may be off: what perf itself does in between counts as well.
TOLERANCE = 0.1
PERF = debian_disk.command("/usr/bin/perf")
TRACE_CMD = debian_disk.command("/usr/bin/trace-cmd")
SLOW = 300
# What a guest does while somebody looks at its host.
DONE = "/tmp/guest.done"
WATCHED = f"(sleep 2; guest 1 check >/tmp/guest.log 2>&1; touch {DONE}) &"
WAIT = f"/tmp/busybox sh -c 'while ! test -e {DONE}; do /tmp/busybox sleep 1; done'"
EXITS = re.compile(r"ended by guest-shutdown, (\d+) exits")
# Exits that every guest makes, as perf calls them.
REASONS = ("STORE_GUEST_PAGE_FAULT", "LOAD_GUEST_PAGE_FAULT", "VIRTUAL_INST_FAULT",
           "SUPERVISOR_SYSCALL")


def booted(report, name, backend, machine):
    """A host that has the disk with these programs behind its own."""
    machine = dataclasses.replace(
        machine, ports=vm.PORTS, scratch=slots.SCRATCH,
        options=(*machine.options, *debian_disk.options(report.artifacts.tools)))
    return Host(f"test-{name}-{backend}",
                Files.of(report.artifacts, report.artifacts.backends[backend]),
                machine, report.settings.timeout_factor)


def prepare(system, device):
    """The disk, and in its /tmp a shell that needs no library, and the loop."""
    debian_disk.mount(system, device, "-o ro")
    system.check(f"mount -t tmpfs tmpfs {debian_disk.ROOT}/tmp && "
                 f"cp /bin/busybox {debian_disk.ROOT}/tmp && "
                 f"echo '{LOOP}' >{debian_disk.ROOT}/tmp/loop")


def number(text, pattern):
    found = re.search(pattern, text)
    if not found:
        raise Failure(f"perf has not said {pattern!r}, but:\n{text}")
    return int(found.group(1))


def count(system):
    """How many instructions the loop takes."""
    text = system.check(f"{PERF} stat -x , -e instructions:u "
                        "/tmp/busybox sh /tmp/loop 2>&1", SLOW)
    return number(text, r"(\d+),,instructions:u")


def samples(system):
    """How often perf has looked at the loop."""
    text = system.check(f"{PERF} record -e instructions:u -c {PERIOD} -o /tmp/data "
                        "/tmp/busybox sh /tmp/loop 2>&1", SLOW)
    return number(text, r"\((\d+) samples\)")


def near(value, expected):
    return abs(value - expected) <= expected * TOLERANCE


@pytest.mark.rust_sample
def test_perf_in_guest(report, backend):
    """A guest counts what its programs do as a host does, and samples them.

    The host counts instructions for time: otherwise, QEMU has no idea of when a
    counter overflows.
    """
    with booted(report, "perf-guest", backend, counting_machine(CPU)) as host:
        host.load_kvm()
        prepare(host, debian_disk.HOST_DEVICE)
        expected = count(host)
        with Vm(host, vcpus=1, options=debian_disk.guest_options()) as guest_:
            prepare(guest_, "/dev/vda")
            counted = count(guest_)
            assert near(counted, expected), \
                f"{counted} instructions in a guest, {expected} in the host"
            if backend == "c":
                pytest.skip("the C backend ends a profile with its first samples")
            sampled = samples(guest_)
            assert near(sampled, counted / PERIOD), \
                f"{sampled} samples of {counted} instructions"


@pytest.mark.rust_sample
def test_perf_of_host(report, backend):
    """perf and trace-cmd see each exit of a guest, as KVM counts them."""
    with booted(report, "perf-host", backend, Machine(cpu=CPU)) as host:
        host.load_kvm()
        guest.require_backend(host, backend)
        host.check("mount -t tracefs tracefs /sys/kernel/tracing; "
                   "cp /bin/busybox /tmp")
        debian_disk.mount(host, options="-o ro")
        host.check(f"mount --bind /tmp {debian_disk.ROOT}/tmp")
        host.check(f"{WATCHED} {PERF} kvm -o /tmp/kvm.data stat record -a {WAIT} 2>&1",
                   SLOW)
        exits = number(host.check("cat /tmp/guest.log"), EXITS)
        # This version says of each interrupt that it does not know it.
        table = host.check(f"{PERF} kvm -i /tmp/kvm.data stat report --stdio 2>&1 | "
                           "grep -v '^unknown kvm exit code'", SLOW)
        assert number(table, r"Total Samples:(\d+)") == exits
        for reason in REASONS:
            assert number(table, rf"{reason} +(\d+) ") > 0

        host.check(f"rm {DONE}")
        host.check(f"{WATCHED} {TRACE_CMD} record -o /tmp/trace.dat -e kvm:kvm_exit "
                   f"{WAIT} 2>&1", SLOW)
        exits = number(host.check("cat /tmp/guest.log"), EXITS)
        seen = host.check(f"{TRACE_CMD} report -i /tmp/trace.dat 2>/dev/null | "
                          "grep -c kvm_exit", SLOW)
        assert int(seen) == exits
