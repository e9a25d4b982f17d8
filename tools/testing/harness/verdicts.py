# SPDX-License-Identifier: GPL-2.0
"""What selftests say of a backend, and how that compares with the other."""

import re
from collections import defaultdict
from dataclasses import dataclass, field

PASS, FAIL, SKIP = "pass", "fail", "skip"

# The exit status of a kselftest that cannot run where it is.
SKIP_STATUS = 4
# Said by a program that then ends as if it had tested something.
UNSUPPORTED = re.compile(r"^.*, skipping test$", re.M)
# The end of a program in kselftest's format all of whose cases were skipped.
ALL_SKIPPED = re.compile(r"^# Totals: pass:0 fail:0 .*\bskip:[1-9]", re.M)
ASSERTION = re.compile(r"^==== Test Assertion Failure ====$", re.M)
# Of a program in parts; a part that says neither was skipped.
PART_PASSED = re.compile(r"^(\S+): PASS$", re.M)
PART_FAILED = re.compile(r"^\s*(\S+): There are \d+ missing \w+; ", re.M)


@dataclass(frozen=True)
class Verdict:
    """What one run of a program said."""

    what: str
    reason: str = ""
    parts: dict = field(default_factory=dict)


def judge(status, output, in_parts=False, excepted=()):
    """The verdict of a program; what is excepted does not fail all of it."""
    if in_parts:
        return _judge_parts(status, output, excepted)
    # With some errnos, upstream's assertions end a program like a skip.
    if ASSERTION.search(output):
        return Verdict(FAIL, "an assertion failed")
    if status == SKIP_STATUS:
        return Verdict(SKIP, _last_line(output))
    unsupported = UNSUPPORTED.search(output)
    if unsupported and not status:
        return Verdict(SKIP, unsupported.group())
    if status:
        return Verdict(FAIL, f"it exited with status {status}")
    if ALL_SKIPPED.search(output):
        return Verdict(SKIP, "all of its cases were skipped")
    return Verdict(PASS)


def _judge_parts(status, output, excepted):
    parts = dict.fromkeys(PART_PASSED.findall(output), PASS)
    failed = PART_FAILED.findall(output)
    parts.update(dict.fromkeys(failed, FAIL))
    wrong = [part for part in failed if part not in excepted]
    reason = ""
    if wrong:
        reason = f"of its parts, {', '.join(wrong)} failed"
    elif len(ASSERTION.findall(output)) > len(failed):
        reason = "an assertion failed that names no part"
    elif status and not failed:
        reason = f"it exited with status {status}, and no part failed"
    elif PASS not in parts.values():
        reason = "none of its parts passed"
    return Verdict(FAIL if reason else PASS, reason, parts)


def _last_line(output):
    lines = [line for line in output.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"


@dataclass(frozen=True)
class Row:
    """One run, or one part of it, on one CPU, under each backend."""

    cpu: str
    program: str
    name: str
    part: str
    found: dict

    @property
    def title(self):
        return f"{self.name}: {self.part}" if self.part else self.name

    @property
    def differs(self):
        return len(set(self.found.values())) > 1

    def __str__(self):
        said = ", ".join(f"{backend}: {verdict}"
                         for backend, verdict in self.found.items())
        return f"{self.title} on {self.cpu}: {said}"


class Verdicts:
    """All verdicts of a run of the tests."""

    def __init__(self):
        self._found = defaultdict(dict)

    def keep(self, cpu, run, backend, verdict):
        self._found[cpu, run][backend] = verdict

    def rows(self, backends):
        """A row for each run, and for each part that did not say the same."""
        rows = []
        for (cpu, run), found in self._found.items():
            rows.append(Row(cpu, run.program, run.name, "", {
                backend: found[backend].what if backend in found else "-"
                for backend in backends}))
            rows += [row for row in self._parts(cpu, run, backends)
                     if row.differs]
        return rows

    def _parts(self, cpu, run, backends):
        found = self._found[cpu, run]
        parts = {part: None for verdict in found.values()
                 for part in verdict.parts}
        for part in parts:
            yield Row(cpu, run.program, run.name, part, {
                backend: found[backend].parts.get(part, SKIP)
                for backend in backends if backend in found})

    def different(self, backends, exceptions):
        """The rows that differ and that no exception covers."""
        return [row for row in self.rows(backends) if row.differs and
                not any(entry.covers(row.program, row.part)
                        for entry in exceptions)]

    def needless(self, backends, cpus, exceptions):
        """(exception, part) of what was run and differs on no CPU."""
        rows = self.rows(backends)
        complete = {program for program in {row.program for row in rows}
                    if {row.cpu for row in rows
                        if row.program == program} == set(cpus)}
        return [(entry, part)
                for entry in exceptions if entry.program in complete
                for part in entry.parts or ("",)
                if not any(row.differs and row.program == entry.program and
                           row.part == part for row in rows)]

    def table(self, backends, exceptions):
        rows = self.rows(backends)
        width = max([len(row.title) for row in rows] + [8])
        lines = [f"{'selftest':{width}} {'CPU':6}" +
                 "".join(f"{backend:>6}" for backend in backends)]
        for row in rows:
            excepted = row.differs and any(
                entry.covers(row.program, row.part) for entry in exceptions)
            lines.append(
                f"{row.title:{width}} {row.cpu:6}" +
                "".join(f"{verdict:>6}" for verdict in row.found.values()) +
                ("  excepted" if excepted else ""))
        return "\n".join(f"    {line}" for line in lines)
