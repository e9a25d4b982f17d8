# SPDX-License-Identifier: GPL-2.0
"""What a selftest says of one backend, it says of the other."""

import pytest

from workspace.errors import Failure


def test_verdicts_are_equal(report, verdicts):
    backends = sorted(report.artifacts.backends)
    print_table(backends, verdicts)
    if len(backends) < 2:
        pytest.skip(f"only the {backends[0]} backend was asked for")
    assert verdicts, "no selftest was run"
    different = [f"{program} on {cpu}: {found}"
                 for (cpu, program), found in verdicts.items()
                 if set(found) != set(backends)
                 or len(set(found.values())) > 1]
    if different:
        raise Failure("The backends differ:\n" + "\n".join(different))


def print_table(backends, verdicts):
    print()
    print(f"    {'selftest':36} {'CPU':6}" +
          "".join(f"{backend:>6}" for backend in backends))
    for (cpu, program), found in verdicts.items():
        print(f"    {program:36} {cpu:6}" +
              "".join(f"{found.get(backend, '-'):>6}" for backend in backends))
