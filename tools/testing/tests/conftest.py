# SPDX-License-Identifier: GPL-2.0
"""Hosts that tests share: one boot for each backend and CPU."""

import functools
from dataclasses import dataclass

import pytest

from harness import guest, vm
from harness.host import Files, Host, Machine
from harness.verdicts import Verdicts
from workspace import selftest_runs
from workspace.settings import CPUS

HARTS = 2
# A disk for guests, and for what the host swaps out.
SCRATCH = 512 << 20


@dataclass
class Slot:
    """A host, booted when first asked for and again after a failure."""

    report: object
    backend: str
    cpu: str
    boots: int = 0
    host: Host | None = None

    def booted(self, memory=Machine.memory):
        if self.host and self.host.machine.memory != memory:
            self.drop()
        if not self.host:
            self.host = self._boot(memory)
        return self.host

    def drop(self):
        """Shut the host down, failing if its kernel complained."""
        host, self.host = self.host, None
        if host:
            host.__exit__(None, None, None)

    def discard(self):
        """End a host that a failed test may have left in any state."""
        host, self.host = self.host, None
        if host:
            host.__exit__(RuntimeError, None, None)

    def _boot(self, memory):
        artifacts = self.report.artifacts
        settings = self.report.settings
        built = artifacts.backends[self.backend]
        self.boots += 1
        again = f"-{self.boots}" if self.boots > 1 else ""
        host = Host(
            f"test-{self.backend}-{self.cpu}{again}",
            Files(built.kernel, built.module, artifacts.disk,
                  artifacts.initramfs, tuple(artifacts.programs.values())),
            Machine(settings.machine, self.cpu, HARTS, memory,
                    ports=vm.PORTS, scratch=SCRATCH),
            settings.timeout_factor)
        host.__enter__()
        try:
            host.load_kvm()
            guest.require_backend(host, self.backend)
        except BaseException:
            host.__exit__(RuntimeError, None, None)
            raise
        return host


@functools.cache
def configuration(backend, cpu):
    """What a slot is for: one object, by which pytest knows it again."""
    return backend, cpu


def pytest_generate_tests(metafunc):
    report = metafunc.config.report
    if "slot" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("cpus")
        everywhere = not marker or report.settings.full
        configurations = [configuration(backend, cpu)
                          for cpu in (CPUS if everywhere else marker.args)
                          for backend in sorted(report.artifacts.backends)]
        metafunc.parametrize("slot", configurations, indirect=True,
                             scope="session",
                             ids=[f"{backend}-{cpu}"
                                  for backend, cpu in configurations])
    if "run" in metafunc.fixturenames:
        metafunc.parametrize("run", [
            pytest.param(run, id=run.name,
                         marks=[pytest.mark.memory(run.memory)]
                         if run.memory else [])
            for run in selftest_runs.of_all(report.artifacts.programs)])


@pytest.fixture(scope="session")
def report(request):
    return request.config.report


@pytest.fixture(scope="session")
def verdicts():
    """What the selftests say, filled while they are run."""
    return Verdicts()


@pytest.fixture(scope="session")
def interfaces():
    """{what: {backend: text}}: what tools see, filled from host to host."""
    return {}


@pytest.fixture(scope="session")
def slot(request, report):
    backend, cpu = request.param
    slot = Slot(report, backend, cpu)
    yield slot
    slot.drop()


@pytest.fixture
def host(request, slot):
    """A host with kvm.ko loaded; a failed test's host is not used again."""
    marker = request.node.get_closest_marker("memory")
    yield slot.booted(*marker.args if marker else ())
    call = getattr(request.node, "call_report", None)
    if call is None or call.failed:
        slot.discard()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """What needs no host comes first, what judges other results last."""
    items.sort(key=lambda item: (bool(item.get_closest_marker("judges")),
                                 "host" in item.fixturenames))
