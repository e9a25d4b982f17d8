# SPDX-License-Identifier: GPL-2.0
"""Hosts that tests share: one boot for each backend, CPU and firmware."""

import dataclasses
import functools
from dataclasses import dataclass

import pytest

from . import guest, vm
from .host import Files, Host, Machine
from .kept_verdicts import KeptVerdicts
from .selftest import Place

HARTS = 2
# A disk for guests, and for what the host swaps out.
SCRATCH = 512 << 20
# In place of a CPU: a host with the kernel that Debian has built, which is large,
# and in memory twice. Before Linux 7.3, a kernel shares vectors with vCPUs in
# another way, so its CPU has some.
STOCK = "stock"
STOCK_CPU = "max"
STOCK_MEMORY = "3G"
# Machines of QEMU, by the names that they have here; MACHINE= has chosen that of the
# others. The number is that of the guest interrupt files of each hart.
MACHINES = {
    **{f"aia{files}": f"virt,aia=aplic-imsic,aia-guests={files}"
       for files in (0, 1, 3, 7)},
    "aplic": "virt,aia=aplic",
}


def machine_of(name, settings):
    """The machine with that name here, or that of MACHINE= for none."""
    return MACHINES[name] if name else settings.machine


@dataclass
class Slot:
    """A host, booted when first asked for and again after a failure."""

    report: object
    backend: str
    # The name of one, or STOCK.
    cpu: str
    # The features of SBI nested acceleration; see `Machine`.
    nacl: str = ""
    # A name of MACHINES, or that of MACHINE=.
    machine: str = ""
    boots: int = 0
    host: Host | None = None

    @property
    def name(self):
        return "-".join(filter(None, (self.backend, self.cpu, self.nacl,
                                      self.machine)))

    @property
    def place(self):
        """Where a selftest runs, for the tables: a CPU that has another machine
        than MACHINE= is a host of its own there.
        """
        return Place(self.name, self.backend,
                     "-".join(filter(None, (self.cpu, self.machine))))

    @functools.cached_property
    def kept(self):
        """Verdicts of an earlier run."""
        return KeptVerdicts(self.report, self.backend, self.place.cpu,
                            self.nacl, self._machine)

    @property
    def _machine(self):
        return machine_of(self.machine, self.report.settings)

    @property
    def is_stock(self):
        return self.cpu == STOCK

    def booted(self, memory="", append=Machine.append):
        memory = memory or (STOCK_MEMORY if self.is_stock else Machine.memory)
        if self.host and (self.host.machine.memory,
                          self.host.machine.append) != (memory, append):
            self.drop()
        if not self.host:
            self.host = self._boot(memory, append)
        return self.host

    def drop(self):
        """Shut the host down; fail if its kernel complained, or if what ran in
        it has left a VM.
        """
        host, self.host = self.host, None
        if not host:
            return
        try:
            host.unload_kvm()
        except BaseException:
            host.abandon()
            raise
        host.finish()

    def discard(self):
        """End a host that a failed test may have left in any state."""
        host, self.host = self.host, None
        if host:
            host.abandon()

    def undo(self, command):
        """Undo by a command what a test has set up; if that fails, the host is
        not used again.
        """
        try:
            self.host.check(command)
        except BaseException:
            self.discard()
            raise

    def _boot(self, memory, append):
        settings = self.report.settings
        self.boots += 1
        again = f"-{self.boots}" if self.boots > 1 else ""
        host = Host(
            f"test-{self.name}{again}", self._files(),
            Machine(self._machine,
                    STOCK_CPU if self.is_stock else self.cpu, HARTS, memory,
                    append, nacl=self.nacl, ports=vm.PORTS, scratch=SCRATCH),
            settings.timeout_factor)
        host.start()
        try:
            host.load_kvm()
            guest.require_backend(host, self.backend)
        except BaseException:
            host.abandon()
            raise
        return host

    def _files(self):
        artifacts = self.report.artifacts
        if not self.is_stock:
            return Files.of(artifacts, artifacts.backends[self.backend])
        return stock_files(artifacts, self.backend)


def stock_files(artifacts, backend):
    """Debian's kernel, and one of its two modules; the package of the other one,
    and what it is installed on. Guests have the kernel of our own hosts.
    """
    stock = artifacts.stock
    files = Files.of(artifacts, stock.backends[backend],
                     artifacts.backends["rust"].kernel)
    return dataclasses.replace(files, programs=(
        *files.programs, stock.backends["c"].module, stock.package.file,
        stock.package.status))


@functools.cache
def configuration(backend, cpu, nacl, *machine):
    """What a slot is for: one object, by which pytest knows it again."""
    return backend, cpu, nacl, *machine


def on(report, cpus):
    """The configurations of all backends on those CPUs."""
    return [configuration(backend, cpu, report.settings.nacl)
            for cpu in cpus
            for backend in sorted(report.artifacts.backends)]


def sampled_backends(report):
    """Those that are enough where nothing is compared: not C, unless it is the only
    one, or FULL=1.
    """
    backends = sorted(report.artifacts.backends)
    return backends if report.settings.full or "rust" not in backends else ["rust"]


def sample(report, chosen):
    """Those of the configurations that are enough where nothing is compared."""
    backends = sampled_backends(report)
    return [where for where in chosen if where[0] in backends]


def on_machine(report, cpu, machine):
    """The configurations of all backends on that CPU of a machine."""
    return [configuration(backend, cpu, report.settings.nacl, machine)
            for backend in sorted(report.artifacts.backends)]


def on_stock(backends=("rust",)):
    """The configurations of Debian's own kernel, with each of these modules."""
    return [configuration(backend, STOCK, "") for backend in backends]


def parametrize(metafunc, chosen):
    """Run a test in a slot of each of these configurations."""
    metafunc.parametrize("slot", chosen, indirect=True, scope="session",
                         ids=ids(chosen))


def parametrize_runs(metafunc, pairs):
    """Run a test for each pair of a configuration and a selftest's run."""
    metafunc.parametrize("slot, run", [
        pytest.param(chosen, run, id=f"{name}-{run.name}",
                     marks=[pytest.mark.memory(run.memory)]
                     if run.memory else [])
        for (chosen, run), name in
        zip(pairs, ids(chosen for chosen, _ in pairs))],
        indirect=["slot"], scope="session")


def ids(configurations):
    """How the names of tests tell them apart."""
    return ["-".join(filter(None, chosen)) for chosen in configurations]
