# SPDX-License-Identifier: GPL-2.0
"""What tools see of KVM: trace events and statistics, the same by both.

perf kvm, kvm_stat and trace-cmd know the events and the statistics by name, and
the fields of events by their formats.
"""

import re

import pytest

from harness import guest
from workspace.errors import Failure

TRACING = "/sys/kernel/tracing"
KVM = "/sys/kernel/debug/kvm"
# What every guest has done by the time that it is up.
EVENTS = ("kvm_entry", "kvm_exit")
# The number of an event, which the kernel gives out as modules come.
NUMBER = re.compile(r"^ID: \d+$", re.M)


@pytest.fixture
def tracing(host):
    host.check(f"mount -t tracefs tracefs {TRACING} 2>/dev/null; "
               f"test -d {TRACING}/events/kvm")
    return host


def test_trace_events(tracing, slot, interfaces):
    host = tracing
    formats = host.check(f"cat {TRACING}/events/kvm/*/format")
    kept = interfaces.setdefault(f"trace events on {slot.cpu}", {})
    kept[slot.backend] = NUMBER.sub("", formats)

    enable = " ".join(f"{TRACING}/events/kvm/{event}/enable"
                      for event in EVENTS)
    host.check(f"echo >{TRACING}/trace; echo 1 | tee {enable}")
    try:
        guest.boot(host, 1)
    finally:
        host.check(f"echo 0 | tee {enable}")
    for event in EVENTS:
        count = host.run(f"grep -c ' {event}: ' {TRACING}/trace").output
        if not int(count):
            raise host.failure(f"A guest has run and {event} was not traced")


def test_statistics(host, slot, report, interfaces):
    """The names of all statistics, in the order that tools show them."""
    host.check(report.artifacts.command("kvm_binary_stats_test"), 240)
    names = host.check(f"ls {KVM}")
    kept = interfaces.setdefault(f"statistics on {slot.cpu}", {})
    kept[slot.backend] = names


@pytest.mark.judges
def test_both_backends_show_the_same(report, interfaces):
    if len(report.artifacts.backends) < 2:
        pytest.skip("only one backend was asked for")
    assert interfaces, "nothing was looked at"
    for what, found in interfaces.items():
        if set(found) != set(report.artifacts.backends):
            raise Failure(f"{what}: only {', '.join(found)} told")
        if len(set(found.values())) > 1:
            raise Failure(f"The backends differ in {what}:\n" + "\n".join(
                f"--- {backend}\n{text}" for backend, text in found.items()))
