# SPDX-License-Identifier: GPL-2.0
"""Running one of the kvm selftests in a host, and what follows of its verdict."""

from dataclasses import dataclass

import pytest

from workspace import selftests

from . import exceptions, verdicts
from .verdicts import Verdict

TIMEOUT = 240
FULL_TIMEOUT = 4 * 3600


@dataclass(frozen=True)
class Place:
    """Where a program runs, if not in a slot."""

    name: str
    backend: str
    # As the table of skips has it.
    cpu: str


def skip_long(report, run):
    if run.long and not report.settings.full:
        pytest.skip("it cannot be made short: only with FULL=1")


def run_in(host, place, report, run, *, full=None, timeout=TIMEOUT,
           forgive=None, skips=exceptions.SKIPS):
    """Run it, and return its verdict and its output.

    `full` is whether it is run in full length; if it is not given, FULL= says it.
    `skips` are the cases that are skipped there, each of them and no others.
    `forgive` is as in Host.judge().

    Under C, what fails is run once more. Rust is compared with C, and is not to
    fail where C fails now and then: that is said, and no more.
    """
    if full is None:
        full = report.settings.full
    verdict, output = _run(host, report, run, full, timeout, forgive)
    if verdict.what == verdicts.FAIL and place.backend == "c":
        failed = verdict
        verdict, output = _run(host, report, run, full, timeout, forgive)
        if verdict.what != verdicts.FAIL:
            report.note(f"{place.name}-{run.name} has failed once, and not "
                        f"again: {failed.reason}")
    count_skips(place, report, verdict)
    return judge_skips(place, run, verdict, skips), output


def count_skips(place, report, verdict):
    """Count each case that was skipped."""
    for case, found in verdict.parts.items():
        if found.what == verdicts.SKIP:
            report.skip_part(f"{place.name}-{case}", found.reason)


def run_recorded(table, host, place, report, run, **how):
    """As run_in(), with the verdict in a table; a failure if there is none."""
    table.keep(place.cpu, run, place.backend, Verdict(verdicts.FAIL))
    verdict, output = run_in(host, place, report, run, **how)
    table.keep(place.cpu, run, place.backend, verdict)
    return verdict, output


def _run(host, report, run, full, timeout, forgive):
    """Run it once."""
    if run.before:
        host.check(run.before)
    # The project's own programs have no options.
    result = host.run(report.artifacts.command(run.program, run.arguments(full),
                                               "FULL=1 " if full else ""),
                      FULL_TIMEOUT if full else timeout)
    host.judge(forgive)
    return verdicts.judge(
        result.status, result.output,
        ours=run.program in selftests.ours(), in_parts=bool(run.parts),
        required=run.parts,
        excepted=tuple(part for entry in exceptions.DIFFERS
                       if entry.program == run.program
                       for part in entry.parts)), result.output


def judge_skips(place, run, verdict, skips):
    """A failure in place of a verdict that hides what was not tested."""
    if verdict.what == verdicts.FAIL or run.parts:
        return verdict
    said = exceptions.complaints(run.program, place.cpu, place.backend,
                                 verdict, skips)
    if not said:
        return verdict
    return Verdict(verdicts.FAIL, f"{exceptions.TABLE.name} and the program "
                   f"disagree: {'; '.join(said)}", verdict.parts)


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
