# SPDX-License-Identifier: GPL-2.0
"""The names of what has to notice a mutant, looked up before anything is built.
"""

import contextlib
import dataclasses
import functools
import io
import re

from workspace import selftests
from workspace.errors import Failure
from workspace.mutants import TABLE
from workspace.workspace import Artifacts

from . import selftest_runs

# How a killer begins that is an expression for TESTS=, and one that boots a
# guest of that number of vCPUs.
TEST, GUEST = "test ", "guest "
GUESTS = re.compile(rf"{GUEST}[1-8]")


def check(found, settings):
    """Fail if an entry names a program, a case or a test that there is not."""
    ours = {name: selftests.cases(name) for name in selftests.ours()}
    upstream = selftest_runs.read().programs
    for mutant in found:
        for killer in mutant.killed_by:
            complaint = _complaint(killer, settings, ours, upstream)
            if complaint:
                raise Failure(f"The mutant {mutant.name}: {complaint}.",
                              f"Correct `killed_by` in {TABLE.name}.")


def _complaint(killer, settings, ours, upstream):
    """What is wrong with the name of a killer, if anything is."""
    if killer.startswith(TEST):
        return _complaint_about_test(killer.removeprefix(TEST), settings)
    if killer.startswith(GUEST):
        return "" if GUESTS.fullmatch(killer) else \
            f"`{killer}` is no guest of 1 to 8 vCPUs"
    program, *cases = killer.split()
    if program not in (*ours, *upstream):
        return f"there is no program {program}"
    # What follows a program of the kernel's are its arguments.
    unknown = [case for case in cases
               if program in ours and case not in ours[program]]
    return f"{program} has no case {', '.join(unknown)}" if unknown else ""


@functools.cache
def _complaint_about_test(expression, settings):
    """What pytest says of an expression that selects no test."""
    # What tests are run with may just have been installed.
    import pytest

    from . import tests
    from .report import Report

    programs = (*selftests.ours(), *selftest_runs.read().programs)
    report = Report(
        dataclasses.replace(settings, tested_backends=("rust",)),
        Artifacts(disk=None, initramfs=None, backends={"rust": None},
                  programs=dict.fromkeys(programs)))
    with contextlib.redirect_stdout(io.StringIO()) as said, \
            contextlib.redirect_stderr(said):
        status = pytest.main(tests.arguments(expression, "--collect-only"),
                             plugins=[report])
    if status == pytest.ExitCode.NO_TESTS_COLLECTED:
        return f"no test is selected by `{expression}`"
    if status != pytest.ExitCode.OK:
        return f"pytest cannot select `{expression}`:\n{said.getvalue()}"
    return ""
