# SPDX-License-Identifier: GPL-2.0
"""The kernel's own use of vectors, while a hart has those of a vCPU.

No part of the host's kernel does that by itself: no checksum or cipher that uses
vectors is configured, and KVM_RUN copies too little to user space for the copy
to use them. A module for tests does it in softirqs.
"""

from harness import kernel_vectors, slots
from harness.report import Report

CPU = "max"
# The program takes a second at least, and the module takes the unit 2000 times
# in each on each hart. Most are in the guest's time.
SOME = 50


def pytest_generate_tests(metafunc):
    report = Report.of(metafunc.config)
    slots.parametrize(metafunc, slots.sample(report, slots.on(report, (CPU,))))


def test_kernel_vectors(host, slot, report):
    assert kernel_vectors.run(host, slot, report, "met") >= SOME
