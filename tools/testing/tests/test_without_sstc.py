# SPDX-License-Identifier: GPL-2.0
"""Harts without Sstc, where a timer of the host stands in for the guest's."""

import pytest

from harness import guest, load, selftest, selftest_runs, slots
from harness.report import Report
from harness.vm import Vm

CPU = "rv64-no-sstc"
# What sets timers and waits for them, but for what is about Sstc itself.
PROGRAMS = ("riscv/sbi_*", "riscv/timer_*", "riscv/world_switch_*")


def pytest_generate_tests(metafunc):
    report = Report.of(metafunc.config)
    chosen = slots.sample(report, slots.on(report, (CPU,)))
    if "run" not in metafunc.fixturenames:
        slots.parametrize(metafunc, chosen)
        return
    runs = selftest_runs.of_all(report.artifacts.programs)
    names = selftest_runs.matching(PROGRAMS, (run.name for run in runs))
    slots.parametrize_runs(metafunc, [(where, run) for where in chosen
                                      for run in runs if run.name in names])


@pytest.fixture(autouse=True)
def no_sstc(host):
    assert host.run("grep -q sstc /proc/cpuinfo").status == 1


def test_selftest_without_sstc(host, slot, report, run):
    verdict, output = selftest.run_in(host, slot, report, run)
    selftest.require(host, run, verdict, output)


def test_boot_without_sstc(host):
    guest.boot(host, 2)


def test_work_without_sstc(host):
    """Each pause of a Linux that works is ended by the timer."""
    with Vm(host) as vm:
        load.start(vm)
        load.advance(vm, 3)
        load.finish(vm)
