# SPDX-License-Identifier: GPL-2.0
"""The kernel's kvm selftests, upstream's and the project's own."""

import re

import pytest

from harness import verdicts as judges
from harness.exceptions import DIFFERS, ONLY
from workspace import selftest_runs

TIMEOUT = 240
FULL_TIMEOUT = 4 * 3600
# A case of a program that cannot run where it is, in kselftest's format.
SKIPPED_PART = re.compile(r"^ok \d+ (\S+) # SKIP (.*)$", re.M)


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


def test_selftest(host, slot, report, verdicts, run):
    if run.long and not report.settings.full:
        pytest.skip("it cannot be made short: only with FULL=1")
    only = [entry for entry in ONLY
            if entry.program == run.program and entry.backend != slot.backend]
    for entry in only:
        if not entry.tests:
            pytest.skip(str(entry))
    compared = all(entry.tests for entry in ONLY
                   if entry.program == run.program)
    if compared:
        verdicts.keep(slot.cpu, run, slot.backend,
                      judges.Verdict(judges.FAIL))
    result = run_in(host, report, run, only)
    host.judge()
    excepted = [part for entry in DIFFERS if entry.program == run.program
                for part in entry.parts]
    verdict = judges.judge(result.status, result.output, run.parts, excepted)
    if compared:
        verdicts.keep(slot.cpu, run, slot.backend, verdict)
    for part, reason in SKIPPED_PART.findall(result.output):
        report.skip_part(f"{slot.backend}-{slot.cpu}-{part}", reason.strip())
    if verdict.what == judges.SKIP:
        pytest.skip(verdict.reason)
    if verdict.what == judges.FAIL:
        raise host.failure(f"{run.name}: {verdict.reason}"
                           f"{_failed_parts(result.output)}")


def run_in(host, report, run, only):
    """Run it, without the tests that are only for the other backend."""
    full = report.settings.full
    # The option of kselftest's harness that leaves a test out.
    left_out = "".join(f" -T {test}" for entry in only for test in entry.tests)
    name = report.artifacts.programs[run.program].name
    arguments = run.arguments(full)
    if run.before:
        host.check(run.before)
    return host.run(f"cd /tmp && /payload/{name} {arguments}{left_out}",
                    FULL_TIMEOUT if full else TIMEOUT)


def _failed_parts(output):
    """What a program says of its parts that failed, in kselftest's format."""
    lines = output.splitlines()
    shown = []
    for number, line in enumerate(lines):
        if line.startswith("not ok"):
            shown += lines[max(number - 3, 0):number + 1]
    return "".join(f"\n    {line}" for line in shown)
