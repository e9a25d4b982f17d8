# SPDX-License-Identifier: GPL-2.0
"""C and Rust side by side: as data, as a table, and as a verdict."""

import json
from dataclasses import dataclass

from workspace.errors import Failure

from . import traps

# What an exit under Rust may cost, as a multiple of what it costs under C.
LIMIT = 1.10


@dataclass(frozen=True)
class Pair:
    """One quantity under both backends."""

    name: str
    title: str
    c: float
    rust: float

    @property
    def ratio(self):
        return self.rust / self.c

    @property
    def too_dear(self):
        return self.ratio > LIMIT

    def data(self):
        return {"name": self.name, "c": self.c, "rust": self.rust,
                "ratio": round(self.ratio, 4)}


@dataclass(frozen=True)
class Comparison:
    """Everything measured, paired."""

    cpu: str
    cases: tuple
    left_out: tuple
    boot: Pair
    text: Pair
    traps: tuple = ()

    @classmethod
    def of(cls, cpu, c, rust, rows=()):
        if _names(c) != _names(rust) or c.left_out != rust.left_out:
            only = sorted(set(_names(c)) ^ set(_names(rust)))
            raise Failure(
                "Under one of the backends alone these exits were measured: "
                + ", ".join(only) + ".",
                "bench-c.log and bench-rust.log, in build/logs, tell why.")
        return cls(
            cpu,
            tuple(Pair(one.name, one.title, one.instructions,
                       other.instructions)
                  for one, other in zip(c.cases, rust.cases)),
            c.left_out,
            Pair("boot", "Guest boot", c.boot_instructions,
                 rust.boot_instructions),
            Pair("text", "kvm.ko text", c.text_bytes, rust.text_bytes),
            tuple(rows))

    @property
    def too_dear(self):
        return [pair for pair in self.cases if pair.too_dear]

    @property
    def more_traps(self):
        return [row for row in self.traps if row.above]

    def write(self, path):
        data = {"cpu": self.cpu,
                "cases": [pair.data() for pair in self.cases],
                "not_measured": {case.name: case.reason
                                 for case in self.left_out},
                "boot_instructions": self.boot.data(),
                "text_bytes": self.text.data(),
                "traps_to_l0": traps.data(self.traps)}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")

    def table(self):
        rows = [("Host instructions for one exit", "C", "Rust", "Rust/C", "")]
        rows += [_row(pair, pair.c, pair.rust) for pair in self.cases]
        rows.append(_row(self.boot, self.boot.c / 1e6, self.boot.rust / 1e6,
                         ", million instructions"))
        rows.append(_row(self.text, self.text.c / 1024, self.text.rust / 1024,
                         ", KiB"))
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        lines = [f"{row[0]:<{widths[0]}}  {row[1]:>{widths[1]}}  "
                 f"{row[2]:>{widths[2]}}  {row[3]:>{widths[3]}}{row[4]}"
                 for row in rows]
        rule = "-" * len(lines[0])
        lines = [lines[0], rule, *lines[1:-2], rule, *lines[-2:]]
        lines += [f"Not measured: {case.title} ({case.reason})"
                  for case in self.left_out]
        return "\n".join(lines)

    def verdict(self):
        if not self.too_dear:
            return f"Every exit is within {LIMIT:.2f} of C."
        names = ", ".join(f"{pair.title} ({pair.ratio:.3f})"
                          for pair in self.too_dear)
        return f"Above {LIMIT:.2f} of C: {names}."


def _names(measured):
    return [case.name for case in measured.cases]


def _row(pair, c, rust, unit=""):
    mark = "  <-- above the limit" if not unit and pair.too_dear else ""
    return (pair.title + unit, f"{c:.1f}", f"{rust:.1f}",
            f"{pair.ratio:.3f}", mark)
