# SPDX-License-Identifier: GPL-2.0
"""The kernel's kvm selftests, upstream's and the project's own."""

import pytest

from harness import selftest, selftest_runs
from harness import verdicts as judges
from harness.exceptions import DIFFERS, ONLY


@pytest.mark.parametrize("entry", (*ONLY, *DIFFERS), ids=lambda e: e.program)
def test_exception(report, entry):
    """An exception must be of a program, and is reported as a skip."""
    assert entry.program in report.artifacts.programs
    pytest.skip(str(entry))


@pytest.mark.parametrize("entry", selftest_runs.read().left_out,
                         ids=lambda e: e.program)
def test_left_out(entry):
    pytest.skip(entry.why)


def test_every_program_of_upstream_is_known(report):
    """A kernel with a new selftest, or with one less, is noticed."""
    known = selftest_runs.read().known
    listed = report.artifacts.upstream_programs
    assert listed, "the kernel's Makefile lists no selftests"
    assert known == listed, f"to be corrected in {selftest_runs.TABLE.name}"


@pytest.mark.cpus("rv64")
@pytest.mark.memory("4G", "hugepagesz=1G hugepages=1")
def test_gigantic_page(host, report):
    """What mmu_huge_pages_test skips where no page of 1 GiB is reserved."""
    program = report.artifacts.command("riscv/mmu_huge_pages_test")
    host.check(f"{program} -t gigantic_page", selftest.TIMEOUT)


def test_selftest(host, slot, report, verdicts, run):
    only = selftest.skip_or_leave_out(report, slot, run)
    compared = all(entry.tests for entry in ONLY
                   if entry.program == run.program)
    if compared:
        verdicts.keep(slot.cpu, run, slot.backend,
                      judges.Verdict(judges.FAIL))
    verdict, output = selftest.run_in(host, slot, report, run, only)
    if compared:
        verdicts.keep(slot.cpu, run, slot.backend, verdict)
    selftest.require(host, run, verdict, output)
