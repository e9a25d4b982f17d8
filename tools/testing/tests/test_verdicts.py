# SPDX-License-Identifier: GPL-2.0
"""What a selftest says of one backend, it says of the other."""

import pytest

from harness.exceptions import DIFFERS, SKIPS, TABLE
from workspace.errors import Failure
from workspace.settings import CPUS


@pytest.mark.judges
def test_verdicts_are_equal(report, verdicts):
    backends = sorted(report.artifacts.backends)
    print(f"\n{verdicts.table(backends, DIFFERS, SKIPS)}")
    if len(backends) < 2:
        pytest.skip(f"only the {backends[0]} backend was asked for")
    assert verdicts.rows(backends), "no selftest was run"
    different = verdicts.different(backends, DIFFERS, SKIPS)
    if different:
        raise Failure("The backends differ:\n" +
                      "\n".join(str(row) for row in different))
    if report.settings.nacl:
        # There, harts lack some of what the exceptions are about.
        return
    needless = verdicts.needless(backends, CPUS, DIFFERS)
    if needless:
        raise Failure(
            "The backends no longer differ in what is an exception:\n" +
            "\n".join(f"{entry.program} {part}".rstrip()
                      for entry, part in needless),
            f"Take it out of {TABLE.name}.")
