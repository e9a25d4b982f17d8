# SPDX-License-Identifier: GPL-2.0
"""The verdicts of selftests on a backend, and how those on both compare."""

import re
from dataclasses import dataclass, field

PASS, FAIL, SKIP = "pass", "fail", "skip"

# The exit status of a kselftest that cannot run where it is.
SKIP_STATUS = 4
# Said by a program that then ends as if it had tested something.
UNSUPPORTED = re.compile(r"^.*, skipping test$", re.M)
ASSERTION = re.compile(r"^==== Test Assertion Failure ====$", re.M)
# Where it stands, and, after the process and its stack, what it has to say.
ASSERTION_TEXT = re.compile(
    r"^==== Test Assertion Failure ====\n"
    r"[ \t]+(?P<place>\S+:\d+): .*\n"
    r"(?:[ \t]+(?:pid=|\d+[ \t]+0x|\(stack trace).*\n)*"
    r"(?:[ \t]+(?P<said>.+))?", re.M)
# A program in kselftest's format announces its cases, and has a line for each.
PLAN = re.compile(r"^1\.\.(\d+)$", re.M)
CASE = re.compile(r"^(ok|not ok) \d+ (.+?)(?: # (\w+) ?(.*))?$", re.M)
# Of a program in parts that has another format; a part that has neither line
# was skipped.
PART_PASSED = re.compile(r"^(\S+): PASS$", re.M)
PART_FAILED = re.compile(r"^\s*(\S+): There are \d+ missing \w+; ", re.M)
# How a case begins its reason that is skipped because C fails it.
C_FAILS = "the C backend"


@dataclass(frozen=True)
class Verdict:
    """The verdict of one run of a program, or of one part of it."""

    what: str
    reason: str = ""
    parts: dict = field(default_factory=dict)

    @property
    def is_fault_of_c(self) -> bool:
        return self.what == SKIP and self.reason.startswith(C_FAILS)


# The verdict on a part that the output has no word of.
UNKNOWN = Verdict(SKIP, "it was not run")


def judge(status: int, output: str, *, ours: bool = False,
          in_parts: bool = False, required: tuple = (),
          excepted: tuple = ()) -> Verdict:
    """The verdict of a program.

    `ours` is whether it is one of the project's, which all have kselftest's
    format. Parts that are excepted do not fail all of it; those that are required
    do if they were skipped.
    """
    if in_parts:
        return _judge_parts(status, output, required, excepted)
    cases = [(name, _case(result, directive, reason)) for
             result, name, directive, reason in CASE.findall(output)]
    return Verdict(*_judge_whole(status, output, cases, ours), dict(cases))


def _case(result, directive, reason):
    if result != "ok":
        return Verdict(FAIL)
    # Whatever the directive is, the case is not one that passed.
    return Verdict(SKIP, reason.strip()) if directive else Verdict(PASS)


def _judge_whole(status, output, cases, ours):
    # With some errnos, upstream's assertions end a program like a skip.
    if ASSERTION.search(output):
        return FAIL, f"an assertion failed{_where(output)}"
    failed = [name for name, case in cases if case.what == FAIL]
    if failed:
        return FAIL, f"of its cases, {', '.join(failed)} failed"
    if status not in (0, SKIP_STATUS):
        return FAIL, f"it exited with status {status}"
    incomplete = _incomplete(output, cases) if ours else ""
    if incomplete:
        return FAIL, incomplete
    if status == SKIP_STATUS:
        return SKIP, _last_line(output)
    unsupported = UNSUPPORTED.search(output)
    if unsupported:
        return SKIP, unsupported.group()
    if cases and all(case.what == SKIP for _, case in cases):
        return SKIP, "all of its cases were skipped"
    return PASS, ""


def _where(output):
    """Where the first assertion failed and what it said, as far as it is known."""
    found = ASSERTION_TEXT.search(output)
    if not found:
        return ""
    said = found["said"]
    return f" at {found['place']}" + (f": {said.strip()}" if said else "")


def _incomplete(output, cases):
    """Why the output cannot be all that a program has to say, if so."""
    plan = PLAN.search(output)
    if not plan:
        return "it did not say how many cases it has"
    if not cases:
        return "it ran no case"
    if len(cases) != int(plan.group(1)):
        return f"it ran {len(cases)} of {plan.group(1)} cases"
    return ""


def _judge_parts(status, output, required, excepted):
    parts = dict.fromkeys(PART_PASSED.findall(output), Verdict(PASS))
    failed = PART_FAILED.findall(output)
    parts.update(dict.fromkeys(failed, Verdict(FAIL)))
    wrong = [part for part in failed if part not in excepted]
    skipped = [part for part in required if part not in parts]
    reason = ""
    if wrong:
        reason = f"of its parts, {', '.join(wrong)} failed"
    elif len(ASSERTION.findall(output)) > len(failed):
        reason = "an assertion failed that names no part"
    elif status and not failed:
        reason = f"it exited with status {status}, and no part failed"
    elif skipped:
        reason = f"of its parts, {', '.join(skipped)} did not run"
    elif Verdict(PASS) not in parts.values():
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
    # The verdict, or None, by backend.
    found: dict

    @property
    def title(self) -> str:
        return f"{self.name}: {self.part}" if self.part else self.name

    @property
    def words(self) -> list[str]:
        return [found.what if found else "-" for found in self.found.values()]

    @property
    def is_equal(self) -> bool:
        return len(set(self.words)) == 1

    @property
    def differs(self) -> bool:
        """Whether the backends differ in a way that needs an exception."""
        if self.is_equal:
            return False
        found = self.found.values()
        if set(self.words) == {PASS, SKIP}:
            # A program none of whose cases passed; each case has a row.
            if all(one.parts for one in found):
                return False
            c = self.found.get("c")
            return not (c and c.is_fault_of_c)
        return True

    def __str__(self):
        said = ", ".join(
            f"{backend}: {word}" for backend, word in
            zip(self.found, self.words))
        return f"{self.title} on {self.cpu}: {said}"


class Verdicts:
    """All verdicts of a run of the tests, in a table of its Report."""

    def __init__(self, table=None):
        self._found = {} if table is None else table

    def keep(self, cpu, run, backend, verdict):
        self._found.setdefault((cpu, run), {})[backend] = verdict

    def rows(self, backends):
        """A row for each run, and for each part whose verdicts are not equal;
        one CPU after the other, on which runs may have taken turns.
        """
        rows = []
        for (cpu, run), found in sorted(self._found.items(),
                                        key=lambda entry: entry[0][0]):
            rows.append(Row(cpu, run.program, run.name, "", {
                backend: found.get(backend) for backend in backends}))
            rows += [row for row in self._parts(cpu, run, backends)
                     if not row.is_equal]
        return rows

    def _parts(self, cpu, run, backends):
        found = self._found[cpu, run]
        parts = {part: None for verdict in found.values()
                 for part in verdict.parts}
        for part in parts:
            yield Row(cpu, run.program, run.name, part, {
                backend: found[backend].parts.get(part, UNKNOWN)
                for backend in backends if backend in found})

    def different(self, backends, exceptions, skips=()):
        """The rows that differ, and that no exception and no skip covers."""
        return [row for row in self.rows(backends) if row.differs and
                not _is_covered(row, exceptions, skips)]

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

    def table(self, backends, exceptions, skips=()):
        rows = self.rows(backends)
        width = max([len(row.title) for row in rows] + [8])
        lines = [f"{'selftest':{width}} {'CPU':10}" +
                 "".join(f"{backend:>6}" for backend in backends)]
        for row in rows:
            excepted = row.differs and _is_covered(row, exceptions, skips)
            lines.append(
                f"{row.title:{width}} {row.cpu:10}" +
                "".join(f"{word:>6}" for word in row.words) +
                ("  excepted" if excepted else ""))
        return "\n".join(f"    {line}" for line in lines)


def _is_covered(row, exceptions, skips):
    return any(entry.covers(row.program, row.part) for entry in exceptions) or \
        any(found and found.what == SKIP and
            entry.covers(row.program, row.part, row.cpu, backend)
            for backend, found in row.found.items() for entry in skips)
