# SPDX-License-Identifier: GPL-2.0
"""The exceptions to "a selftest runs all of its cases, with the same verdict
under both backends"."""

import fnmatch
from dataclasses import dataclass
from pathlib import Path

from workspace import tables

from . import verdicts

TABLE = Path(__file__).parents[1] / "tests/selftests.toml"


@dataclass(frozen=True)
class Differs:
    """What runs under both, with other verdicts: parts of a program, or it."""

    program: str
    why: str
    parts: tuple = ()

    def __str__(self):
        what = ", ".join(self.parts) or "its verdict"
        return f"{self.program}: {what} may differ: {self.why}"

    def covers(self, program: str, part: str) -> bool:
        return self.program == program and \
            (part in self.parts if self.parts else not part)


@dataclass(frozen=True)
class Skip:
    """Cases of a program that are skipped, and where: by host and backend."""

    program: str
    why: str
    # As fnmatch has them; without any, the program skips itself.
    cases: tuple = ()
    # CPUs of hosts, with the machine if that is another one, or "debug"; all, without
    # any.
    hosts: tuple = ()
    backend: str = ""

    def __str__(self):
        where = ", ".join(filter(None, (*self.hosts, self.backend)))
        return (f"{self.program}: {', '.join(self.cases) or 'all of it'} is "
                f"skipped on {where or 'all hosts'}: {self.why}")

    def is_for(self, program: str, host: str, backend: str) -> bool:
        return self.program == program and \
            (not self.hosts or host in self.hosts) and \
            self.backend in ("", backend)

    def covers(self, program: str, case: str, host: str, backend: str) -> bool:
        return self.is_for(program, host, backend) and \
            any(fnmatch.fnmatchcase(case, pattern)
                for pattern in self.cases or ("",))


def read(table=TABLE):
    """(all Differs, all Skip)"""
    data = tables.load(table)

    def entries(name, kind):
        return tuple(tables.entries(
            data.get(name, []), kind,
            lambda number, _: f"{table.name}, {name} {number}"))

    return entries("differs", Differs), entries("skip", Skip)


DIFFERS, SKIPS = read()


def complaints(program: str, host: str, backend: str,
               verdict: verdicts.Verdict, skips=SKIPS) -> list[str]:
    """What is skipped without being listed, and listed without being skipped.

    A skip needs no entry if it is because the C backend fails the case.
    """
    entries = [entry for entry in skips
               if entry.is_for(program, host, backend)]
    # A program that has no cases, or that does not get as far as to run them.
    found = verdict.parts or {"": verdict}

    def is_listed(case):
        return any(entry.covers(program, case, host, backend)
                   for entry in entries)

    said = [f"{case or 'all of it'} was skipped: {one.reason}"
            for case, one in found.items() if one.what == verdicts.SKIP
            and not is_listed(case)
            and not (backend == "c" and one.is_fault_of_c)]
    said += [f"{case or 'all of it'} need not be listed as skipped"
             for case, one in found.items() if one.what != verdicts.SKIP
             and is_listed(case)]
    said += [f"there is no case {pattern}"
             for entry in entries for pattern in entry.cases
             if not fnmatch.filter(found, pattern)]
    return said
