# SPDX-License-Identifier: GPL-2.0
"""The kernel's kvm selftests, upstream's and the project's own."""

import re
import tomllib
from pathlib import Path

import pytest

TIMEOUT = 240
# The exit status of a kselftest that cannot run where it is.
SKIP = 4
VERDICTS = {0: "pass", SKIP: "skip"}
# A case of a program that cannot run where it is, in kselftest's format.
SKIPPED_PART = re.compile(r"^ok \d+ (\S+) # SKIP (.*)$", re.M)
EXCEPTIONS = tomllib.loads(
    Path(__file__).with_name("selftests.toml").read_text(encoding="utf-8")
).get("only", [])


def left_out(program, backend):
    """The entries that keep something of a program from a backend."""
    return [entry for entry in EXCEPTIONS
            if entry["program"] == program and entry["backend"] != backend]


@pytest.mark.parametrize("entry", EXCEPTIONS, ids=lambda e: e["program"])
def test_exception(report, entry):
    """An exception must be of this project, and is reported as a skip."""
    assert entry["program"] in report.artifacts.programs
    what = ", ".join(entry.get("tests", [])) or "all of it"
    pytest.skip(f"{what} only under {entry['backend']}: {entry['why']}")


def test_selftest(host, slot, report, verdicts, program):
    entries = left_out(program, slot.backend)
    for entry in entries:
        if "tests" not in entry:
            pytest.skip(f"only under {entry['backend']}: {entry['why']}")
    # The option of kselftest's harness that leaves a test out.
    options = "".join(f" -T {test}" for entry in entries
                      for test in entry["tests"])
    compared = all("tests" in entry for entry in EXCEPTIONS
                   if entry["program"] == program)
    kept = verdicts.setdefault((slot.cpu, program), {}) if compared else {}
    kept[slot.backend] = "fail"
    name = report.artifacts.programs[program].name
    result = host.run(f"cd /tmp && /payload/{name}{options}", TIMEOUT)
    host.judge()
    kept[slot.backend] = VERDICTS.get(result.status, "fail")
    for part, reason in SKIPPED_PART.findall(result.output):
        report.skip_part(f"{slot.backend}-{slot.cpu}-{part}", reason.strip())
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
