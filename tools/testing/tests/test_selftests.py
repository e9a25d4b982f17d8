# SPDX-License-Identifier: GPL-2.0
"""The kernel's kvm selftests, upstream's and the project's own."""

import pytest

from harness import selftest, selftest_runs
from harness import verdicts as judges
from harness.exceptions import DIFFERS, SKIPS
from harness.report import EARLIER


def test_exceptions(report):
    """An exception is of a program that there is; each is printed."""
    for entry in (*DIFFERS, *SKIPS):
        assert entry.program in report.artifacts.programs
        report.note(str(entry))


def test_left_out(report):
    """What is not run is printed."""
    for entry in selftest_runs.read().left_out:
        report.note(f"{entry.program} is not run: {entry.why}")


def test_every_program_of_upstream_is_known(report):
    """A kernel with a new selftest, or with one less, is noticed."""
    known = selftest_runs.read().known
    listed = report.artifacts.upstream_programs
    assert listed, "the kernel's Makefile lists no selftests"
    assert known == listed, f"to be corrected in {selftest_runs.TABLE.name}"


@pytest.mark.cpus("rv64")
@pytest.mark.rust_sample
@pytest.mark.memory("4G", "hugepagesz=1G hugepages=1")
@pytest.mark.parametrize("case", ("gigantic_page", "gigantic_page_again"))
def test_gigantic_page(host, slot, report, case):
    """What mmu_huge_pages_test skips where no page of 1 GiB is reserved."""
    run = selftest_runs.Run("riscv/mmu_huge_pages_test", f"-t {case}")
    # No skip is excused by the page here.
    verdict, output = selftest.run_in(host, slot, report, run, skips=())
    selftest.require(host, run, verdict, output)


def test_selftest(request, slot, report, verdicts, run):
    selftest.skip_long(report, run)
    verdict = slot.kept.get(run)
    if verdict:
        request.node.user_properties.append((EARLIER, True))
        verdicts.keep(slot.cpu, run, slot.backend, verdict)
        selftest.count_skips(slot, report, verdict)
        if verdict.what == judges.SKIP:
            pytest.skip(verdict.reason)
        return
    # A host is not booted for what is known.
    host = request.getfixturevalue("host")
    verdict, output = selftest.run_recorded(verdicts, host, slot, report, run)
    slot.kept.keep(run, verdict)
    selftest.require(host, run, verdict, output)
