# SPDX-License-Identifier: GPL-2.0
"""The kernel's kvm selftests, upstream's and the project's own."""

import tomllib
from pathlib import Path

import pytest

TIMEOUT = 240
# The exit status of a kselftest that cannot run where it is.
SKIP = 4
VERDICTS = {0: "pass", SKIP: "skip"}
EXCEPTIONS = Path(__file__).with_name("selftests.toml")


@pytest.fixture(scope="session")
def only():
    """{program: its entry} of the programs that one backend alone can run."""
    with open(EXCEPTIONS, "rb") as file:
        entries = tomllib.load(file).get("only", [])
    return {entry["program"]: entry for entry in entries}


def test_selftest(host, slot, report, verdicts, only, program):
    exception = only.get(program)
    if exception and exception["backend"] != slot.backend:
        pytest.skip(f"only under {exception['backend']}: {exception['why']}")
    if not exception:
        kept = verdicts.setdefault((slot.cpu, program), {})
        kept[slot.backend] = "fail"
    name = report.artifacts.programs[program].name
    result = host.run(f"cd /tmp && /payload/{name}", TIMEOUT)
    host.judge()
    if not exception:
        kept[slot.backend] = VERDICTS.get(result.status, "fail")
    if result.status == SKIP:
        pytest.skip(_last_line(result.output))
    if result.status:
        raise host.failure(f"{program} exited with status {result.status}"
                           f"{_failed_parts(result.output)}")


def _last_line(output):
    lines = [line for line in output.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"


def _failed_parts(output):
    """What a program says of its parts that failed, in kselftest's format."""
    lines = output.splitlines()
    shown = []
    for number, line in enumerate(lines):
        if line.startswith("not ok"):
            shown += lines[max(number - 3, 0):number + 1]
    return "".join(f"\n    {line}" for line in shown)
