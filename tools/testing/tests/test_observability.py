# SPDX-License-Identifier: GPL-2.0
"""What tools see of KVM: trace events and statistics, the same by both.

perf kvm, kvm_stat and trace-cmd know the events and the statistics by name, and
the fields of events by their formats.
"""

import re

import pytest

from harness import guest, interface, selftest, selftest_runs
from workspace.errors import Failure
from workspace.settings import CPUS

TRACING = "/sys/kernel/tracing"
KVM = "/sys/kernel/debug/kvm"
# What every guest has done by the time that it is up.
EVENTS = ("kvm_entry", "kvm_exit", "kvm_vcpu_exit", "kvm_mmio_emulate")
# Cases of world_switch_exits_test whose exits can be handled inside the world switch
# and with interrupts disabled, and how many exits each has.
EARLY = (("sbi_call", 2000), ("counters", 200))
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


@pytest.mark.parametrize("case, count", EARLY)
def test_early_exits_are_traced(tracing, slot, report, case, count):
    """While exits are traced, none of them is handled unseen."""
    host = tracing
    event = f"{TRACING}/events/kvm/kvm_vcpu_exit/enable"
    run = selftest_runs.Run("riscv/world_switch_exits_test", f"-t {case}")
    host.check(f"echo >{TRACING}/trace; echo 1 >{event}")
    try:
        verdict, output = selftest.run_in(host, slot, report, run, skips=())
    finally:
        host.check(f"echo 0 >{event}")
    selftest.require(host, run, verdict, output)
    found = int(host.run(f"grep -c kvm_vcpu_exit: {TRACING}/trace").output)
    if found < count:
        raise host.failure(f"{found} exits were traced, and there were "
                           f"{count} at least")


def test_statistics(host, slot, report, interfaces, verdicts):
    """The names of all statistics, in the order that tools show them."""
    run = selftest_runs.Run(selftest_runs.STATISTICS)
    selftest.require(host, run, *selftest.run_recorded(verdicts, host, slot, report,
                                                   run))
    names = host.check(f"ls {KVM}")
    kept = interfaces.setdefault(f"statistics on {slot.cpu}", {})
    kept[slot.backend] = names


def test_answers(host, slot, report, answers, verdicts):
    """What user space is told of capabilities, devices and registers."""
    run = selftest_runs.Run(selftest_runs.INTERFACE)
    verdict, output = selftest.run_recorded(verdicts, host, slot, report, run)
    selftest.require(host, run, verdict, output)
    answers.setdefault(slot.cpu, {})[slot.backend] = interface.answers(output)


@pytest.mark.judges
def test_both_backends_answer_the_same(report, answers):
    if len(report.artifacts.backends) < 2:
        pytest.skip("only one backend was asked for")
    assert answers, "nothing was asked"
    excepted = interface.read()
    for cpu, found in answers.items():
        if set(found) != set(report.artifacts.backends):
            raise Failure(f"On {cpu}, only {', '.join(found)} answered")
    wrong = interface.unexpected(answers, excepted)
    # With NACL, harts lack some of what the exceptions are about.
    if set(answers) == set(CPUS) and not report.settings.nacl:
        wrong += interface.needless(answers, excepted)
    if wrong:
        raise Failure("The backends answer user space otherwise than "
                      f"{interface.TABLE.name} says:\n" + "\n".join(wrong))


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
