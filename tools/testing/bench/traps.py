# SPDX-License-Identifier: GPL-2.0
"""What an exit traps to the hypervisor below for, with each set of NACL features.

Counted by tools/testing/nacl-sbi: calls of SBI nested acceleration (NACL),
instructions that access H CSRs, and fences by instruction.
"""

from dataclasses import dataclass

from harness.c_backend import keeps_csrs, keeps_fences
from workspace.settings import nacl_combinations

KINDS = ("calls", "csrs", "fences")
# What an interrupt or two among hundreds of exits make of a count.
TOLERANCE = 0.05


@dataclass(frozen=True)
class Row:
    """One kind of exit with one set of features, under both backends."""

    nacl: str
    rust: object
    c: object = None

    @property
    def above(self):
        """The kinds of which Rust has more, where C does what it has to."""
        if not self.c or not keeps_fences(self.nacl):
            return []
        return [kind for kind in KINDS
                if getattr(self.rust, kind) > getattr(self.c, kind) + TOLERANCE]

    def data(self):
        return {backend: {kind: round(getattr(traps, kind), 3)
                          for kind in KINDS}
                for backend, traps in (("rust", self.rust), ("c", self.c))
                if traps}


def pair(nacl, rust, c):
    """The rows of one set of features, by kind of exit."""
    by_name = {traps.name: traps for traps in c}
    return [Row(nacl, traps, by_name.get(traps.name)) for traps in rust]


def measure(files, cpu, timeout_factor):
    """Everything, set by set; it takes some ten seconds for each backend."""
    from .measure import measure_traps

    rows = []
    for nacl in nacl_combinations():
        rust = measure_traps("rust", nacl, files["rust"], cpu, timeout_factor)
        c = measure_traps("c", nacl, files["c"], cpu, timeout_factor,
                          whole=keeps_fences(nacl)) if keeps_csrs(nacl) else ()
        rows += pair(nacl, rust, c)
    return rows


def data(rows):
    sets = dict.fromkeys(row.nacl for row in rows)
    return {nacl: {row.rust.name: row.data()
                   for row in rows if row.nacl == nacl} for nacl in sets}


def table(rows):
    """For each set the sums over all kinds of exits: of calls, CSRs, fences."""
    lines = ["Traps to L0, summed over one exit of each kind "
             "(calls + CSRs + fences)"]
    for nacl in dict.fromkeys(row.nacl for row in rows):
        chosen = [row for row in rows if row.nacl == nacl]
        text = "  ".join(f"{backend:>4} {_sums(chosen, backend)}"
                         for backend in ("c", "rust"))
        note = "" if keeps_fences(nacl) else "  (C loses fences)" \
            if keeps_csrs(nacl) else "  (C loses CSRs)"
        lines.append(f"{nacl:44} {text}{note}")
    lines += [f"    {row.rust.title}, NACL {row.nacl}: more {kind} than C"
              for row in rows for kind in row.above]
    return "\n".join(lines)


def _sums(rows, backend):
    found = [getattr(row, backend) for row in rows]
    if not all(found):
        return f"{'-':>22}"
    return " + ".join(f"{sum(getattr(traps, kind) for traps in found):5.1f}"
                      for kind in KINDS).rjust(22)
