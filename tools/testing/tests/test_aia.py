# SPDX-License-Identifier: GPL-2.0
"""Hosts whose harts have the AIA: what an in-kernel interrupt controller needs."""

import pytest

from harness import selftest, selftest_runs, slots
from harness.report import Report
from workspace.settings import CPUS

# All machines are for FULL=1: between two of them, the number of guest interrupt
# files and of identities differs. The last one has neither, which a CPU with Ssaia
# does not mind.
SAMPLE = ("aia3",)
MACHINES = tuple((cpu, machine) for cpu in CPUS
                 for machine in slots.MACHINES) + (("max", ""),)


def pytest_generate_tests(metafunc):
    if "slot" not in metafunc.fixturenames:
        return
    report = Report.of(metafunc.config)
    chosen = [where for cpu, machine in MACHINES
              if machine in SAMPLE or report.settings.full
              for where in slots.on_machine(report, cpu, machine)]
    slots.parametrize_runs(metafunc, [
        (where, selftest_runs.Run(program)) for where in chosen
        for program in selftest_runs.AIA_ONLY])


@pytest.fixture(autouse=True)
def firmware_with_aia(report):
    if report.settings.nacl:
        pytest.skip("nacl-sbi has no Ssaia for its host")


def test_aia_selftest(host, slot, report, verdicts, run):
    place = slot.place
    verdict, output = selftest.run_recorded(verdicts, host, place, report, run)
    selftest.require(host, run, verdict, output)
