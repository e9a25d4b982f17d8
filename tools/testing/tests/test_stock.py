# SPDX-License-Identifier: GPL-2.0
"""Debian's own kernel as the host, untouched, with kvm.ko as a module of its own
that takes the place of the kernel's."""

import re

import pytest

from harness import (guest, kernel_vectors, load, selftest, selftest_runs,
                     vm)
from harness.host import Files, Host, Machine
from harness.slots import SCRATCH
from harness.vm import Vm

# With vectors: before Linux 7.3, they are shared with the kernel in another way.
CPU = "max"
# More than in other hosts: its kernel is large, and in memory twice for a guest.
MEMORY = "3G"
PLACE = selftest.Place("stock", "rust", "stock")
SAMPLE = ("riscv/sbi_*", "riscv/vector_test", "riscv/vmid_test",
          "riscv/world_switch_*")
# Events that came with Linux 7.3 are most of what this is about.
LEFT_OUT = ("riscv/trace_test",)
RELOADS = 3
# The program takes a second at least, and the kernel uses vectors 2000 times in
# each on each hart.
KERNEL_USES = 500
FULL_RELOADS = 20


def pytest_generate_tests(metafunc):
    report = metafunc.config.report
    if "run" not in metafunc.fixturenames:
        return
    runs = [run for run in selftest_runs.of_all(report.artifacts.programs)
            if run.name.startswith("riscv/") and run.name not in LEFT_OUT]
    if not report.settings.full:
        names = selftest_runs.matching(SAMPLE, [run.name for run in runs])
        runs = [run for run in runs if run.name in names]
    metafunc.parametrize("run", runs, ids=[run.name for run in runs])


@pytest.fixture(scope="module")
def stock(report):
    """Without the module, nothing was asked for that needs it."""
    if not report.artifacts.stock:
        pytest.skip("only with the Rust backend")
    artifacts = report.artifacts
    kernel = artifacts.backends["rust"].kernel
    with Host("test-stock",
              Files.of(artifacts, artifacts.stock["rust"], kernel),
              Machine(report.settings.machine, CPU, memory=MEMORY,
                      ports=vm.PORTS, scratch=SCRATCH),
              report.settings.timeout_factor) as host:
        host.load_kvm()
        guest.require_backend(host, "rust")
        yield host
        host.unload_kvm()


@pytest.mark.parametrize("vcpus", (1, 2, 4))
def test_stock_guest(stock, vcpus):
    guest.boot(stock, vcpus)


def test_stock_kernel_has_no_rust(stock):
    """Else this would show nothing."""
    release = stock.check("uname -r").strip()
    assert re.search(r"\+deb\d+-riscv64$", release)
    owners = {line.partition("[")[2] for line in
              stock.check("grep rust_helper_ /proc/kallsyms").splitlines()}
    assert owners == {"kvm]"}


def test_stock_work(stock):
    """A guest with a disk, whose load is compared."""
    with Vm(stock) as guest_vm:
        load.start(guest_vm)
        load.advance(guest_vm, 3)
        guest_vm.reboot()
        load.start(guest_vm)
        load.advance(guest_vm, 1)
        load.finish(guest_vm)


def test_stock_selftest(stock, report, run):
    selftest.skip_long(report, run)
    verdict, output = selftest.run_in(stock, PLACE, report, run)
    selftest.require(stock, run, verdict, output)


def test_stock_kernel_vectors(stock, report):
    """The kernel does not ask for the vector unit, so no vCPU may have it when
    interrupts are enabled."""
    assert kernel_vectors.run(stock, PLACE, report, "times") >= KERNEL_USES


def test_stock_reloads(stock, report):
    for _ in range(FULL_RELOADS if report.settings.full else RELOADS):
        stock.unload_kvm()
        stock.check("test ! -e /dev/kvm")
        stock.load_kvm()
    guest.boot(stock, 1)


def test_stock_module_of_another_build_is_refused(stock):
    """As when a kernel of the same name has been built again."""
    stock.unload_kvm()
    # The same length: what lies behind stays where it is.
    stock.check("sed 's/ Debian \\([0-9]\\)/ Lebian \\1/' /payload/kvm.ko >/tmp/kvm.ko")
    refused = stock.run("insmod /tmp/kvm.ko")
    assert refused.status != 0
    assert "build it again" in stock.check("dmesg | tail -n 5")
    stock.check("rm /tmp/kvm.ko")
    stock.load_kvm()
