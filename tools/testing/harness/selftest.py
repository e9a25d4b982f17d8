# SPDX-License-Identifier: GPL-2.0
"""Running one of the kvm selftests in a host, and what follows of its verdict."""

import re

import pytest

from . import verdicts
from .exceptions import DIFFERS, ONLY

TIMEOUT = 240
FULL_TIMEOUT = 4 * 3600
# A case of a program that cannot run where it is, in kselftest's format.
SKIPPED_PART = re.compile(r"^ok \d+ (\S+) # SKIP (.*)$", re.M)


def skip_or_leave_out(report, slot, run):
    """Skip what is not run here, or return what is to be left out of it."""
    if run.long and not report.settings.full:
        pytest.skip("it cannot be made short: only with FULL=1")
    only = [entry for entry in ONLY
            if entry.program == run.program and entry.backend != slot.backend]
    for entry in only:
        if not entry.tests:
            pytest.skip(str(entry))
    return only


def run_in(host, slot, report, run, only=(), full=None):
    """Run it, and return its verdict and its output.

    `full` is whether it is run in full length; if it is not given, FULL= says it.
    """
    if full is None:
        full = report.settings.full
    # The option of kselftest's harness that leaves a test out.
    left_out = "".join(f" -T {test}" for entry in only for test in entry.tests)
    if run.before:
        host.check(run.before)
    result = host.run(
        report.artifacts.command(run.program, run.arguments(full) + left_out,
                                 # The project's own programs have no options.
                                 "FULL=1 " if full else ""),
        FULL_TIMEOUT if full else TIMEOUT)
    host.judge()
    excepted = [part for entry in DIFFERS if entry.program == run.program
                for part in entry.parts]
    for part, reason in SKIPPED_PART.findall(result.output):
        report.skip_part(f"{slot.name}-{part}", reason.strip())
    return verdicts.judge(result.status, result.output, run.parts,
                          excepted), result.output


def require(host, run, verdict, output):
    """Fail or skip the test that ran it, if the verdict is not that it passed."""
    if verdict.what == verdicts.SKIP:
        pytest.skip(verdict.reason)
    if verdict.what == verdicts.FAIL:
        raise host.failure(f"{run.name}: {verdict.reason}"
                           f"{_failed_parts(output)}")


def _failed_parts(output):
    """What a program says of its parts that failed, in kselftest's format."""
    lines = output.splitlines()
    shown = []
    for number, line in enumerate(lines):
        if line.startswith("not ok"):
            shown += lines[max(number - 3, 0):number + 1]
    return "".join(f"\n    {line}" for line in shown)
