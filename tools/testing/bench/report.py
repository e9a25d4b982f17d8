# SPDX-License-Identifier: GPL-2.0
"""C and Rust side by side: as data, as a table, and as a verdict."""

import json
from dataclasses import dataclass

from workspace.errors import Failure

from . import traps

# What it may cost under Rust, as a multiple of what it costs under C.
FAST = 0.40
# On a kernel of a distribution, which measures how long a guest runs.
FAST_ON_STOCK = 0.45
TO_OTHERS = 0.45
IN_KERNEL = 0.55
TO_MESSAGES = 0.60
SWITCH = 0.70
TO_USER = 0.75
FAULT = 0.80
# The host has the page in its page table, where it is found.
FAULT_MAPPED = 0.72
# With its neighbours.
IN_ORDER = 0.15
LIMITS = {
    "sbi_call": FAST,
    "set_timer": FAST,
    "wfi_pending": FAST,
    "spurious": FAST,
    "self_ipi": TO_OTHERS,
    "other_ipi": TO_OTHERS,
    "fence_i": TO_OTHERS,
    "fence_pages": TO_OTHERS,
    "fence_full": TO_OTHERS,
    "fence_all": TO_OTHERS,
    "ioeventfd": IN_KERNEL,
    "coalesced": IN_KERNEL,
    "vcpu_switch": SWITCH,
    # Two switches, most of which is the scheduler's.
    "wake_ipi": SWITCH,
    "sbi_user": TO_USER,
    "mmio_store": TO_USER,
    "seed": TO_USER,
    "fault_4k": FAULT_MAPPED,
    "touch_private": IN_ORDER,
    "touch_shared": IN_ORDER,
    "mix_private": FAULT_MAPPED,
    "mix_shared": FAULT_MAPPED,
    "fault_logged": FAULT,
    "clear_log": 0.35,
    "log_start": 0.45,
    # Nothing but the core's wait for those who have seen the log, unless the host has
    # huge pages, which C leaves unused.
    "log_end": 1.05,
    "unmap": 0.55,
    # Two thirds of it are the host's memory management. Where guests have Svpbmt,
    # the caches of a page are written back.
    "first_touch": 0.80,
    # Half of it is the system call.
    "msi": TO_MESSAGES,
    "irqfd": TO_MESSAGES,
    "irq_line": TO_MESSAGES,
    "wake_msi": SWITCH,
    "aplic_store": TO_OTHERS,
    "imsic_ipi": TO_OTHERS,
    "claim": TO_OTHERS,
    "file_switch": SWITCH,
    "steal_switch": SWITCH,
    "pmu_switch": SWITCH,
    "read_counter": TO_OTHERS,
    "read_firmware": TO_USER,
    # Most of it is perf's, and the firmware's of the host.
    "toggle_counter": TO_USER,
    "toggle_snapshot": TO_USER,
    "text": 1.00,
}
# Of guests: no more than under C, but for what the places of ticks and of memory
# make of it.
LIMIT = 1.05


@dataclass(frozen=True)
class Pair:
    """One quantity under both backends."""

    name: str
    title: str
    c: float
    rust: float
    limit: float

    @property
    def ratio(self):
        return self.rust / self.c

    @property
    def too_dear(self):
        return self.ratio > self.limit

    def data(self):
        return {"name": self.name, "c": self.c, "rust": self.rust,
                "ratio": round(self.ratio, 4), "limit": self.limit}


@dataclass(frozen=True)
class Comparison:
    """Everything measured, paired."""

    cpu: str
    # What KERNEL= names, if that is a kernel of a distribution.
    stock: str
    cases: tuple
    left_out: tuple
    guests: tuple
    text: Pair
    # For each of the guests its name and title, and how often it stopped under C.
    exits: tuple
    traps: tuple = ()

    @classmethod
    def of(cls, cpu, c, rust, rows=(), stock=""):
        if _names(c) != _names(rust) or c.left_out != rust.left_out:
            only = sorted(set(_names(c)) ^ set(_names(rust)))
            raise Failure(
                "Under one of the backends alone these exits were measured: "
                + ", ".join(only) + ".",
                "bench-c.log and bench-rust.log, in build/logs, tell why.")
        return cls(cpu, stock, _pairs(c.cases, rust.cases, stock), c.left_out,
                   _pairs(c.guests, rust.guests, stock),
                   Pair("text", "Text of kvm.ko", c.text_bytes,
                        rust.text_bytes, limit_of("text", stock)),
                   tuple((one.name, one.title, one.exits) for one in c.guests),
                   tuple(rows))

    @property
    def too_dear(self):
        return [pair for pair in (*self.cases, *self.guests, self.text)
                if pair.too_dear]

    @property
    def more_traps(self):
        return [row for row in self.traps if row.above]

    def write(self, path):
        exits = {name: exits for name, *_, exits in self.exits}
        data = {"cpu": self.cpu, "kernel": self.stock,
                "cases": [pair.data() for pair in self.cases],
                "not_measured": {case.name: case.reason
                                 for case in self.left_out},
                "guests": [pair.data() | {"exits": exits[pair.name]}
                           for pair in self.guests],
                "text_bytes": self.text.data(),
                "traps_to_l0": traps.data(self.traps)}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")

    def table(self):
        rows = [("Host instructions for one exit", "C", "Rust", "Rust/C",
                 "limit", "")]
        rows += [_row(pair) for pair in self.cases]
        parts = [len(rows)]
        rows += [_row(pair, 1e6, ", million instructions")
                 for pair in self.guests]
        rows.append(_row(self.text, 1024, ", KiB"))
        widths = [max(len(row[column]) for row in rows) for column in range(5)]
        lines = ["  ".join((f"{row[0]:<{widths[0]}}",
                            *(f"{cell:>{width}}"
                              for cell, width in zip(row[1:], widths[1:])),
                            row[5])).rstrip()
                 for row in rows]
        rule = "-" * len(lines[0])
        for place in (*parts, 1):
            lines.insert(place, rule)
        lines += [f"{title}: {exits} exits under C"
                  for _, title, exits in self.exits]
        lines += [f"Not measured: {case.title} ({case.reason})"
                  for case in self.left_out]
        return "\n".join(lines)

    def verdict(self):
        if not self.too_dear:
            return "Everything is within its limit."
        names = ", ".join(f"{pair.title} ({pair.ratio:.3f}, not {pair.limit})"
                          for pair in self.too_dear)
        return f"Above the limit: {names}."


def limit_of(name, stock=""):
    """The limit of a case, on a kernel of a distribution or on ours."""
    limit = LIMITS.get(name, LIMIT)
    return FAST_ON_STOCK if stock and limit == FAST else limit


def _pairs(c, rust, stock):
    return tuple(Pair(one.name, one.title, one.instructions,
                      other.instructions, limit_of(one.name, stock))
                 for one, other in zip(c, rust))


def _names(measured):
    return [case.name for case in measured.cases]


def _row(pair, divisor=1, unit=""):
    mark = "<-- above the limit" if pair.too_dear else ""
    return (pair.title + unit, f"{pair.c / divisor:.1f}",
            f"{pair.rust / divisor:.1f}", f"{pair.ratio:.3f}",
            f"{pair.limit:.2f}", mark)
