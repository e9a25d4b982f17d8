# SPDX-License-Identifier: GPL-2.0
"""The Rust backend on a host whose kernel watches itself (debug.config).

Whatever that kernel notices stands in its log, which every test here looks at:
locks in a wrong order, sleep where there must be none, lists and objects that
are misused, memory that is used after it was freed. What is leaked is found at
the end.
"""

import re

import pytest

from harness import guest, selftest_runs, splats, verdicts
from harness.host import Files, Host, Machine
from workspace import selftests
from workspace.errors import Failure

# The one with the most extensions: each has state that is switched.
CPU = "max"
HARTS = 2
TIMEOUT = 900
RELOADS = 3
KMEMLEAK = "/sys/kernel/debug/kmemleak"
# Objects that are younger than this, in seconds, are not looked at.
KMEMLEAK_AGE = 6
KMEMLEAK_REPORT = re.compile(r"^.*kmemleak: \d+ new suspected.*$", re.M)
# Of the project's own, what is for the full run alone.
LONG = ("riscv/world_switch_*",)
# Of the kernel's own, besides all of the project's.
UPSTREAM = (
    "coalesced_io_test",
    "demand_paging_test -u MISSING",
    "kvm_page_table_test",
)


def pytest_generate_tests(metafunc):
    if "watched" in metafunc.fixturenames:
        report = metafunc.config.report
        runs = (*selftest_runs.of_all(report.artifacts.programs),
                *(selftest_runs.Run(name)
                  for name in selftest_runs.DEBUG_ONLY))
        names = [run.name for run in runs]
        long = selftest_runs.matching(LONG, names)
        upstream = selftest_runs.matching(UPSTREAM, names)
        metafunc.parametrize("watched", [
            pytest.param(run, id=run.name) for run in runs
            if is_watched(run, long, upstream, report.settings.full)])


def is_watched(run, long, upstream, full):
    if run.program in selftests.ours():
        return full or run.name not in long
    return run.name in upstream or full and not (run.memory or run.long)


@pytest.fixture(scope="module")
def debug_host(report):
    artifacts = report.artifacts
    if not artifacts.debug:
        pytest.skip("the debug host is for the rust backend, and not built "
                    "unless TESTS= names it")
    host = Host("test-debug",
                Files.of(artifacts, artifacts.debug,
                         guest_kernel=artifacts.backends["rust"].kernel),
                Machine(report.settings.machine, CPU, HARTS),
                3 * report.settings.timeout_factor)
    with host:
        host.load_kvm()
        guest.require_backend(host, "rust")
        if report.settings.full:
            forget_leaks(host)
        yield host


def forget_leaks(host):
    """What the kernel has lost by itself, before there was a VM."""
    host.check(f"sleep {KMEMLEAK_AGE}; echo scan >{KMEMLEAK}", TIMEOUT)
    host.check(f"echo scan >{KMEMLEAK}; echo clear >{KMEMLEAK}", TIMEOUT)
    host.judge(KMEMLEAK_REPORT)


def test_debug_program(debug_host, report, watched):
    # Never upstream's own arguments: this host is a slow one.
    result = debug_host.run(
        report.artifacts.command(watched.program,
                                 watched.arguments(full=False)), TIMEOUT)
    debug_host.judge(splats.FAILED_ALLOCATION
                     if watched.program in selftest_runs.DEBUG_ONLY else None)
    verdict = verdicts.judge(result.status, result.output, watched.parts)
    if verdict.what == verdicts.SKIP:
        pytest.skip(verdict.reason)
    if verdict.what == verdicts.FAIL:
        raise debug_host.failure(f"{watched.name}: {verdict.reason}")


def test_debug_guest(debug_host):
    guest.boot(debug_host, 2)


def test_debug_reload(debug_host):
    for _ in range(RELOADS):
        debug_host.check("rmmod kvm")
        debug_host.load_kvm()
        guest.boot(debug_host, 1)


def test_debug_leaks(debug_host, report):
    """Last: nothing that the tests before have made may be left."""
    if not report.settings.full:
        pytest.skip("scans of all memory take minutes: only with FULL=1")
    debug_host.check("rmmod kvm")
    # What a scan finds once may have been on a stack; twice, it is lost.
    for _ in range(2):
        debug_host.check(f"sleep {KMEMLEAK_AGE}; echo scan >{KMEMLEAK}", TIMEOUT)
    leaks = debug_host.check(f"cat {KMEMLEAK}", TIMEOUT)
    if leaks.strip():
        raise Failure(f"The kernel has lost memory:\n{leaks}",
                      f"The log of what ran is {debug_host.log}")
    debug_host.load_kvm()
