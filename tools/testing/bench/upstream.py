# SPDX-License-Identifier: GPL-2.0
"""The figures that the kernel's own perf selftests print, under both backends.

The host counts its instructions, so that a time is a number of them. It has one
hart. Where a thread of a program waits in a loop for another one, the time is that
of the ticks which it takes until the other runs, up to some ten million.
"""

import json
import re
from dataclasses import asdict, dataclass

from workspace import command, pins
from workspace.settings import BACKENDS, Settings
from workspace.steps import say
from workspace.workspace import prepared

from .__main__ import RESULTS

# Programs, and what makes their runs short: 16,384 pages of 4K.
RUNS = (
    ("demand_paging_test", "-v 1 -b 64M"),
    ("demand_paging_test", "-v 1 -b 64M -s shmem"),
    ("demand_paging_test", "-v 1 -b 64M -u MISSING"),
    ("dirty_log_perf_test", "-v 1 -b 64M -i 2"),
    ("dirty_log_perf_test", "-v 1 -b 64M -i 2 -g"),
    ("access_tracking_perf_test", "-v 1 -b 64M"),
)
# "Populate memory time: 0.012345678s"; what is no time of the kernel's is left out.
FIGURE = re.compile(r"^([A-Z][^:\n]*?)(?: time)?\s*:\s+(\d+\.\d+)s$", re.M)
TIMEOUT = 600


@dataclass(frozen=True)
class Figure:
    """What one figure is under both backends, in thousands of instructions."""

    run: str
    name: str
    c: float
    rust: float

    @property
    def ratio(self):
        return self.rust / self.c


def figures(text):
    """{name: thousands of instructions} in what a program has printed."""
    return {name: float(seconds) * 1e6 for name, seconds in FIGURE.findall(text)}


def pairs(found):
    """`found` is {backend: {run: what figures() returns}}."""
    return [Figure(run, name, count, found["rust"][run][name])
            for run, counts in found["c"].items()
            for name, count in counts.items()]


def table(rows):
    lines = []
    for run in dict.fromkeys(row.run for row in rows):
        lines += ["", f"{run:<60}{'C':>10}{'Rust':>10}{'ratio':>7}", "-" * 87]
        lines += [f"{row.name:<60}{row.c:>10,.0f}{row.rust:>10,.0f}"
                  f"{row.ratio:>7.2f}" for row in rows if row.run == run]
    return "\n".join(lines)


def measure(settings):
    from harness import guest
    from harness.host import Files, Host

    from .measure import counting_machine

    found = {}
    names = sorted({program for program, _ in RUNS})
    with prepared(settings, BACKENDS, programs=names,
                  extra_packages=pins.BENCH_PACKAGES) as artifacts:
        for backend, built in sorted(artifacts.backends.items()):
            host = Host(f"bench-upstream-{backend}", Files.of(artifacts, built),
                        counting_machine(settings.cpu), settings.timeout_factor)
            with host:
                host.load_kvm()
                guest.require_backend(host, backend)
                found[backend] = {}
                for program, options in RUNS:
                    run = f"{program} {options}"
                    say("bench", f"{backend}: {run}")
                    text = host.check(f"/payload/{program} {options}", TIMEOUT)
                    found[backend][run] = figures(text)
                    if not found[backend][run]:
                        raise host.failure(f"{run} printed no time")
    return pairs(found)


def show(settings):
    rows = measure(settings)
    print(table(rows))
    path = RESULTS / "upstream.json"
    path.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n",
                    encoding="utf-8")
    print(f"\nIn thousands of instructions. Written: {path}")


if __name__ == "__main__":
    command.run(lambda: show(Settings.from_environment()))
