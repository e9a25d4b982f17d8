# SPDX-License-Identifier: GPL-2.0
"""Hosts whose harts sleep: idle without retention, and suspend of the system.

OpenSBI and QEMU keep all registers of the hypervisor, so a sleep alone would
show little: the module hart_forgets overwrites them as the hart wakes up. The
kernel's way through both sleeps, and that of the firmware, are the real ones.
"""

import contextlib
from dataclasses import dataclass

import pytest

from harness import guest, selftest, selftest_runs
from harness.exceptions import SKIPS, Skip
from harness.host import Files, Host, Machine

HARTS = 2
CPU = "rv64"
DEVICE_TREE = "sleep"
FORGETS, WAKES = "hart_forgets", "clock_wakes"
FORGOTTEN = f"/sys/module/{FORGETS}/parameters/times"
# The state besides WFI is for long sleeps, unless there is no other.
WFI = "/sys/devices/system/cpu/cpu*/cpuidle/state0/disable"
SUSPENDED = "/sys/power/suspend_stats/success"
NO_SUSPEND = Skip(selftest_runs.HOST_SLEEP,
                  "nacl-sbi does not suspend the system",
                  ("host_sleep.suspend",))
# It takes less than ten seconds.
TIMEOUT = 45
# How often a hart sleeps at least, in what takes a second or more.
NAPS = 50
# The exits of a guest that has not booted yet, but has begun to.
WELL_ON_ITS_WAY = 2000
# Of the numbers that nacl-sbi knows.
MISUSE_FORGET_SHMEM = 12
FOR_EVER = 1 << 32


@dataclass(frozen=True)
class Sleeper:
    """A host whose harts sleep, and forget."""

    host: Host
    backend: str
    nacl: str

    def forgotten(self):
        """How often a hart has lost its state."""
        return int(self.host.check(f"cat {FORGOTTEN}"))

    def run_selftest(self, report):
        """All registers of a guest are looked at after its hart has slept."""
        run = selftest_runs.Run(selftest_runs.HOST_SLEEP)
        skips = (*SKIPS, NO_SUSPEND) if self.nacl else SKIPS
        before = self.forgotten()
        place = selftest.Place(self.host.name, self.backend, CPU)
        selftest.require(self.host, run, *selftest.run_in(
            self.host, place, report, run, skips=skips, timeout=TIMEOUT))
        assert self.forgotten() - before >= NAPS


@contextlib.contextmanager
def booted(report, backend, nacl):
    settings, artifacts = report.settings, report.artifacts
    host = Host("-".join(filter(None, ("sleeps", backend, nacl))),
                Files.of(artifacts, artifacts.backends[backend]),
                Machine(settings.machine, CPU, HARTS, nacl=nacl,
                        device_tree=DEVICE_TREE),
                settings.timeout_factor)
    with host:
        host.load_kvm()
        guest.require_backend(host, backend)
        host.check(f"insmod /payload/{WAKES}.ko")
        # The C backend does not clear HIE when a hart wakes up (differences.rst).
        host.check(f"insmod /payload/{FORGETS}.ko "
                   f"interrupts={int(backend != 'c')}")
        yield Sleeper(host, backend, nacl)
        host.check(f"rmmod {FORGETS} {WAKES}")
        host.unload_kvm()


@pytest.mark.rust_sample
def test_sleep_selftest(report, backend):
    with booted(report, backend, report.settings.nacl) as sleeper:
        sleeper.run_selftest(report)


@pytest.mark.rust_sample
def test_sleep_guest(report, backend):
    """A Linux guest boots, on harts that sleep whenever they can, and is in the
    middle of that when the system is suspended."""
    suspend = report.artifacts.command(selftest_runs.HOST_SLEEP, "-t suspend")
    with booted(report, backend, report.settings.nacl) as sleeper:
        host = sleeper.host
        host.check(f"echo 1 | tee {WFI}")
        before = sleeper.forgotten()
        host.check(
            f"( until test \"$(cat {guest.EXITS})\" -gt {WELL_ON_ITS_WAY}; "
            f"do sleep 0.1; done; {suspend} ) >/tmp/suspend 2>&1 &")
        guest.boot(host, HARTS)
        assert sleeper.forgotten() - before >= NAPS
        if not sleeper.nacl:
            host.check("grep '^ok 1 ' /tmp/suspend")
            assert int(host.check(f"cat {SUSPENDED}")) == 1


def test_sleep_without_shared_memory(report):
    """A firmware that no longer knows a hart's shared memory is given it again."""
    if "rust" not in report.artifacts.backends:
        pytest.skip("the C backend does not set the shared memory again")
    if report.settings.nacl:
        pytest.skip("NACL= has chosen one platform for all other tests")
    with booted(report, "rust", "all") as sleeper:
        def forget_shmem(times):
            return int(sleeper.host.check(report.artifacts.command(
                selftest_runs.NACL_CONTROL,
                f"misuse {MISUSE_FORGET_SHMEM} {times}")), 16)

        forget_shmem(FOR_EVER)
        sleeper.run_selftest(report)
        assert FOR_EVER - forget_shmem(0) >= NAPS
