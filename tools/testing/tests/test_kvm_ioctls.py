# SPDX-License-Identifier: GPL-2.0
"""The unit tests of the crate kvm-ioctls: a client of KVM that is not of this
project, and that virtual machine monitors in Rust share. They want an interrupt
controller in the kernel, and several harts."""

import dataclasses
import re

import pytest

from harness import slots
from harness.host import Files, Host, Machine

# One that has few enough registers for the crate: it has room for 500, and one test
# expects no more than 200.
CPU = "rv64"
MACHINE = "aia3"
HARTS = 4
TIMEOUT = 120
VERDICT = re.compile(r"^test (\S+) \.\.\. (\w+)", re.M)
# As many as the crate had when it was first run here.
AT_LEAST = 32


def test_kvm_ioctls(report, backend):
    program = report.artifacts.kvm_ioctls
    if not program:
        pytest.skip("with FULL=1 only: it takes long to build")
    files = Files.of(report.artifacts, report.artifacts.backends[backend])
    files = dataclasses.replace(files, programs=(*files.programs, program))
    machine = Machine(slots.MACHINES[MACHINE], CPU, HARTS)
    with Host(f"test-kvm_ioctls-{backend}", files, machine,
              report.settings.timeout_factor) as host:
        host.load_kvm()
        result = host.run(f"/payload/{program.name} --test-threads 1 --color never",
                          TIMEOUT)
        found = dict(VERDICT.findall(result.output))
        failed = [name for name, verdict in found.items() if verdict != "ok"]
        if result.status or failed or len(found) < AT_LEAST:
            raise host.failure(f"{len(found)} tests of kvm-ioctls have run, and "
                               f"these have not passed: {' '.join(failed)}")
        report.note(f"kvm-ioctls under {backend}: {len(found)} tests passed")
        host.unload_kvm()
