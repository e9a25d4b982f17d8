# SPDX-License-Identifier: GPL-2.0
"""The Rust backend on hosts whose kernels watch themselves.

Whatever such a kernel notices stands in its log, which every test here looks at.
With debug.config, these are locks in a wrong order, sleep where there must be
none, lists and objects that are misused, memory that is used after it was freed.
What is leaked is found at the end. With kasan.config, which FULL=1 adds, it is
each access to memory that is not the code's to use.
"""

import dataclasses
import re

import pytest

from harness import guest, selftest, selftest_runs, slots, splats
from harness.host import Files, Host, Machine
from harness.report import Report
from workspace import build, selftests
from workspace.errors import Failure

# The one with the most extensions: each has state that is switched.
CPU = "max"
HARTS = 2
# With FULL=1, one whose interrupt controller has more to lock, and guest interrupt
# files.
MACHINE = slots.MACHINES["aia3"]
# What is freed is poisoned, and looked at when it is used again.
APPEND = "page_poison=1"
MEMORY = {"debug": "2G", "kasan": "3G"}
TIMEOUT = 900
RELOADS = 3
KMEMLEAK = "/sys/kernel/debug/kmemleak"
# Objects that are younger than this, in seconds, are not looked at.
KMEMLEAK_AGE = 6
KMEMLEAK_REPORT = re.compile(r"^.*kmemleak: \d+ new suspected.*$", re.M)
# Of the project's own, what is for the full run alone.
LONG = ("riscv/world_switch_*",)
# Of these, cases that do not try every number that a register might have.
SHORTENED = {"riscv/hostile_one_reg_test": "-t one_reg_errnos -t reg_list"}
# Of the kernel's own, besides all of the project's.
UPSTREAM = (
    "coalesced_io_test",
    "demand_paging_test -u MISSING",
    "kvm_page_table_test",
)


def pytest_generate_tests(metafunc):
    report = Report.of(metafunc.config)
    hosts = [name for name in build.WATCHED
             if name == "debug" or (name in report.artifacts.watched and
                                    metafunc.function is not test_debug_leaks)]
    if "watched" in metafunc.fixturenames:
        runs = (*selftest_runs.of_all(report.artifacts.programs),
                *(selftest_runs.Run(name)
                  for name in (*selftest_runs.DEBUG_ONLY,
                               *(selftest_runs.AIA_ONLY
                                 if report.settings.full else ()))))
        metafunc.parametrize("watched_host, watched", [
            pytest.param(name, run, id=f"{name}-{run.name}")
            for name in hosts
            for run in watched_runs(name, runs, report.settings.full)],
            indirect=["watched_host"], scope="module")
    elif "watched_host" in metafunc.fixturenames:
        metafunc.parametrize("watched_host", hosts, indirect=True,
                             scope="module")


def watched_runs(name, runs, full):
    """What is run on one of the hosts."""
    names = [run.name for run in runs]
    long = selftest_runs.matching(LONG, names)
    upstream = selftest_runs.matching(UPSTREAM, names)
    assert set(SHORTENED) <= set(names)
    return [run if full else shortened(run) for run in runs
            if (name == "debug" or run.name not in selftest_runs.DEBUG_ONLY)
            and is_watched(run, long, upstream, full)]


def shortened(run):
    return dataclasses.replace(
        run, options=SHORTENED.get(run.name, run.options))


def is_watched(run, long, upstream, full):
    if run.program in selftests.ours():
        return full or run.name not in long
    return run.name in upstream or full and not (run.memory or run.long)


@pytest.fixture(scope="module")
def watched_host(request, report):
    name = request.param
    artifacts = report.artifacts
    if name not in artifacts.watched:
        pytest.skip(f"the {name} host is for the rust backend, and not built "
                    "unless TESTS= names it")
    host = Host(f"test-{name}",
                Files.of(artifacts, artifacts.watched[name],
                         guest_kernel=artifacts.backends["rust"].kernel),
                Machine(MACHINE if report.settings.full
                        else report.settings.machine,
                        CPU, HARTS, MEMORY[name], APPEND),
                3 * report.settings.timeout_factor)
    with host:
        host.load_kvm()
        guest.require_backend(host, "rust")
        if report.settings.full and name == "debug":
            forget_leaks(host)
        yield host
        host.unload_kvm()


def forget_leaks(host):
    """What the kernel has lost by itself, before there was a VM."""
    host.check(f"sleep {KMEMLEAK_AGE}; echo scan >{KMEMLEAK}", TIMEOUT)
    host.check(f"echo scan >{KMEMLEAK}; echo clear >{KMEMLEAK}", TIMEOUT)
    host.judge(lambda log: KMEMLEAK_REPORT.sub("", log))


def test_debug_program(watched_host, report, watched):
    # Never upstream's own arguments: this host is a slow one.
    name = watched_host.name.removeprefix("test-")
    place = selftest.Place(name, "rust", name)
    selftest.require(watched_host, watched, *selftest.run_in(
        watched_host, place, report, watched, full=False, timeout=TIMEOUT,
        forgive=splats.FAILED_ALLOCATION.without
        if watched.program in selftest_runs.DEBUG_ONLY else None))


def test_debug_guest(watched_host):
    guest.boot(watched_host, 2)


def test_debug_reload(watched_host):
    for _ in range(RELOADS):
        watched_host.check("rmmod kvm")
        watched_host.load_kvm()
        guest.boot(watched_host, 1)


def test_debug_leaks(watched_host, report):
    """Last: nothing that the tests before have made may be left."""
    if not report.settings.full:
        pytest.skip("scans of all memory take minutes: only with FULL=1")
    watched_host.check("rmmod kvm")
    # What a scan finds once may have been on a stack; twice, it is lost.
    for _ in range(2):
        watched_host.check(f"sleep {KMEMLEAK_AGE}; echo scan >{KMEMLEAK}", TIMEOUT)
    leaks = watched_host.check(f"cat {KMEMLEAK}", TIMEOUT)
    if leaks.strip():
        raise Failure(f"The kernel has lost memory:\n{leaks}",
                      f"The log of what ran is {watched_host.log}")
    watched_host.load_kvm()
