# SPDX-License-Identifier: GPL-2.0
"""The exceptions to "a selftest says the same of both backends"."""

from dataclasses import dataclass
from pathlib import Path

from workspace import tables

TABLE = Path(__file__).parents[1] / "tests/selftests.toml"


@dataclass(frozen=True)
class Only:
    """What runs under one backend alone: tests of a program, or all of it."""

    program: str
    backend: str
    why: str
    tests: tuple = ()

    def __str__(self):
        what = ", ".join(self.tests) or "all of it"
        return f"{what} only under {self.backend}: {self.why}"


@dataclass(frozen=True)
class Differs:
    """What runs under both, with other verdicts: parts of a program, or it."""

    program: str
    why: str
    parts: tuple = ()

    def __str__(self):
        what = ", ".join(self.parts) or "its verdict"
        return f"{what} may differ: {self.why}"

    def covers(self, program, part):
        return self.program == program and \
            (part in self.parts if self.parts else not part)


def read(table=TABLE):
    """(all Only, all Differs)"""
    data = tables.load(table)
    return (tuple(Only(**_hashable(entry)) for entry in data.get("only", [])),
            tuple(Differs(**_hashable(entry))
                  for entry in data.get("differs", [])))


def _hashable(entry):
    return {key: tuple(value) if isinstance(value, list) else value
            for key, value in entry.items()}


ONLY, DIFFERS = read()
