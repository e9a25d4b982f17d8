# SPDX-License-Identifier: GPL-2.0
"""The kernel's own use of vectors, while a hart has those of a vCPU.

No part of the host's kernel does that by itself: no checksum or cipher that uses
vectors is configured, and KVM_RUN copies too little to user space for the copy
to use them. A module for tests does it in softirqs.
"""

import pytest

from harness import selftest, selftest_runs, slots

CPU = "max"
USES = "kernel_vectors"
PARAMETERS = f"/sys/module/{USES}/parameters"
PROGRAM = "riscv/vector_test"
# The program takes a second at least, and the module takes the unit 2000 times
# in each on each hart. Most are in the guest's time.
SOME = 50


def configurations(metafunc):
    report = metafunc.config.report
    return [slots.configuration(backend, CPU, report.settings.nacl)
            for backend in sorted(report.artifacts.backends)]


def pytest_generate_tests(metafunc):
    chosen = configurations(metafunc)
    metafunc.parametrize("slot", chosen, indirect=True, scope="session",
                         ids=slots.ids(chosen))


def test_kernel_vectors(host, slot, report):
    host.check(f"insmod /payload/{USES}.ko")
    run = selftest_runs.Run(PROGRAM)
    selftest.require(host, run, *selftest.run_in(host, slot, report, run))
    met = int(host.check(f"cat {PARAMETERS}/met"))
    host.check(f"rmmod {USES}")
    assert met >= SOME
