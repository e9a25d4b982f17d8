# SPDX-License-Identifier: GPL-2.0
"""What kvm.ko is made of; and that it can be put in and out at will."""

import re

import pytest

from harness import guest, selftest, selftest_runs
from harness.host import Files, Host, Machine
from workspace import stats
from workspace.settings import CPUS

# On the first CPU, and on the others.
TIMES, FEWER_TIMES = 20, 5
VMID_BITS = re.compile(r"\bkvm: .*\bVMID (\d+) bits available")
# Short, and runs a vCPU: a VM has been there at every unload.
PROGRAM = "riscv/ebreak_test"
# VMs by turns, and every path that leaves a guest.
VMID_PROGRAMS = ("riscv/vmid_test", "riscv/world_switch_*")


@pytest.mark.rust_sample
def test_module_reloads(host, slot, report):
    many = slot.cpu == CPUS[0] or report.settings.full
    for _ in range(TIMES if many else FEWER_TIMES):
        host.check("rmmod kvm")
        host.check("test ! -e /dev/kvm")
        host.load_kvm()
        run = selftest_runs.Run(PROGRAM)
        selftest.require(host, run, *selftest.run_in(host, slot, report, run))
    guest.boot(host, 1)


@pytest.mark.rust_sample
def test_host_ends(report, backend):
    """Virtualization goes on harts that are in guests; the host itself ends."""
    artifacts = report.artifacts
    host = Host(f"ends-{backend}",
                Files.of(artifacts, artifacts.backends[backend]),
                Machine(report.settings.machine, nacl=report.settings.nacl),
                report.settings.timeout_factor)
    with host:
        host.load_kvm()
        guest.leave_running(host, 2)
        host.end("reboot -f")


@pytest.mark.cpus("rv64")
@pytest.mark.parametrize("bits", (2, 0))
def test_few_vmids(host, slot, report, bits):
    """VMs that take each other's VMIDs all the time, or have none."""
    if slot.backend != "rust":
        pytest.skip("the C backend takes as many as the hart has")
    host.check("rmmod kvm")
    host.check(f"insmod /payload/kvm.ko vmid_bits={bits}")
    said = VMID_BITS.findall(host.whole_log())
    if said[-1:] != [str(bits)]:
        raise host.failure(f"The log has VMIDs of {said} bits, and not of "
                           f"{bits} at last")
    for program in sorted(selftest_runs.matching(
            VMID_PROGRAMS, report.artifacts.programs)):
        run = selftest_runs.Run(program)
        selftest.require(host, run, *selftest.run_in(host, slot, report, run))
    guest.boot(host, 2)
    host.check("rmmod kvm")
    host.load_kvm()


def test_no_upstream_c_in_the_rust_module(report):
    if "rust" not in report.artifacts.backends:
        pytest.skip("only the c backend was asked for")
    sources = report.artifacts.backends["rust"].sources
    assert f"{stats.BACKEND}/kvm_riscv.o" in sources
    assert not stats.upstream_c(sources)


def test_no_rust_in_the_c_module(report):
    if "c" not in report.artifacts.backends:
        pytest.skip("only the rust backend was asked for")
    sources = report.artifacts.backends["c"].sources
    assert f"{stats.BACKEND}/vcpu.o" in stats.upstream_c(sources)
    assert not [name for name, source in sources.items()
                if source.suffix == ".rs"]
