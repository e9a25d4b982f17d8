# SPDX-License-Identifier: GPL-2.0
"""How the kernel's own kvm selftests are run, from one readable table."""

import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass

from workspace import tables
from workspace.errors import Failure
from workspace.settings import REPOSITORY

TABLE = REPOSITORY / "tools/testing/tests/upstream.toml"
# The project's own that need a kernel with debug.config.
DEBUG_ONLY = ("riscv/fault_injection_test",)
# What tests of tools and interfaces run on each slot, in place of test_selftest.
STATISTICS = "kvm_binary_stats_test"
INTERFACE = "riscv/interface_test"
OBSERVED = (STATISTICS, INTERFACE)
# That which needs a host whose harts sleep deeply.
HOST_SLEEP = "riscv/host_sleep_test"
# What needs a host below which there is nacl-sbi: tests, and what asks that
# firmware for its numbers.
NACL_COUNTS = "riscv/nacl_counts_test"
NACL_FENCES = "riscv/nacl_fences_test"
NACL_MISUSE = "riscv/nacl_misuse_test"
NACL_REMOTE = "riscv/nacl_remote_fences_test"
NACL_VMIDS = "riscv/nacl_vmids_test"
NACL_CONTROL = "nacl_sbi_ctl"
NACL_ONLY = (NACL_COUNTS, NACL_FENCES, NACL_MISUSE, NACL_REMOTE, NACL_VMIDS,
             NACL_CONTROL)
# What needs harts with Ssaia: tests/test_aia.py runs it.
AIA_ONLY = ("riscv/aia_device_test", "riscv/aia_irqfd_test",
            "riscv/aia_move_test", "riscv/aia_state_test", "riscv/aplic_test",
            "riscv/hostile_aia_test", "riscv/imsic_test")


@dataclass(frozen=True)
class Run:
    """A program with its arguments: one row of the table of verdicts."""

    program: str
    options: str = ""
    short: str = ""
    full: str = ""
    memory: str = ""
    cpus: tuple = ()
    before: str = ""
    parts: tuple = ()
    long: bool = False

    @property
    def name(self):
        return f"{self.program} {self.options}".strip()

    def is_for(self, cpu, full):
        """Whether it is run on hosts of that CPU."""
        return full or not self.cpus or cpu in self.cpus

    def arguments(self, full):
        return f"{self.options} {self.full if full else self.short}".strip()


@dataclass(frozen=True)
class LeftOut:
    """A program that is not run, and the reason."""

    program: str
    why: str


@dataclass(frozen=True)
class Table:
    runs: tuple
    left_out: tuple

    @property
    def programs(self):
        """What has to be built, each once."""
        return tuple(dict.fromkeys(run.program for run in self.runs))

    @property
    def known(self):
        """All programs that the table says something of."""
        return {entry.program for entry in (*self.runs, *self.left_out)}


def read(table=TABLE):
    """The table, each entry checked."""
    data = tables.load(table)
    runs = _entries(data.pop("run", []), Run, table.name, "run")
    left_out = _entries(data.pop("left_out", []), LeftOut, table.name,
                        "left_out")
    if data:
        raise Failure(f"{table.name}: unknown {', '.join(sorted(data))}.")
    names = [run.name for run in runs]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise Failure(f"{table.name}: {', '.join(sorted(twice))} is there "
                      "more than once.",
                      "Give each run `options` of its own.")
    return Table(runs, left_out)


def of_all(programs):
    """The runs of all programs; those that need a host of their own last."""
    upstream = read()
    ours = (Run(name) for name in programs
            if name not in (*upstream.programs, *DEBUG_ONLY, HOST_SLEEP,
                            *NACL_ONLY, *AIA_ONLY))
    return sorted((*upstream.runs, *ours), key=lambda run: bool(run.memory))


def matching(patterns: Iterable[str], names: Iterable[str]) -> set[str]:
    """The names that the patterns match; each must match at least one."""
    names = set(names)
    found = {pattern: fnmatch.filter(names, pattern) for pattern in patterns}
    idle = [pattern for pattern, matched in found.items() if not matched]
    if idle:
        raise Failure(f"No selftest is called {', '.join(idle)}.")
    return {name for matched in found.values() for name in matched}


def _entries(entries, kind, table, name):
    return tuple(tables.entries(
        entries, kind, lambda number, _: f"{table}, {name} {number}"))
