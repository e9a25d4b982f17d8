# SPDX-License-Identifier: GPL-2.0
"""Hosts whose harts have the AIA: selftests of an in-kernel interrupt controller,
and guests that use one."""

import pytest

from harness import guest, guest_devices, load, selftest, selftest_runs, slots
from harness.guest_devices import PCI, WIRED
from harness.report import Report
from harness.vm import Vm
from workspace.errors import Failure
from workspace.settings import CPUS

# All are for FULL=1: between two machines, the number of guest interrupt files and
# of identities differs. The last one has neither, which a CPU with Ssaia does not
# mind.
SAMPLE = (CPUS[-1], "aia3")
MACHINES = tuple((cpu, machine) for cpu in CPUS
                 for machine in slots.MACHINES) + (("max", ""),)

# Machines of guests. With split, the APLIC is QEMU's, and so is all of it without an
# IMSIC.
IMSIC = "virt,aia=aplic-imsic"
APLIC = "virt,aia=aplic"
SPLIT = ",kernel_irqchip=split"
# QEMU 10.0's own APLIC sends the messages of wires to the first vCPU alone when the
# IMSICs are KVM's: it knows of their addresses but the first one.
FIRST_VCPU = "irqaffinity=0"
# With their numbers of vCPUs.
BOOTS = ((IMSIC, 1), (IMSIC, 2), (IMSIC, 4), (IMSIC + SPLIT, 2), (APLIC, 2))
ALL_BOOTS = tuple((machine + split, vcpus) for machine in (IMSIC, APLIC)
                  for split in ("", SPLIT) for vcpus in (1, 2, 4))
# With what their devices are attached to.
WORK = ((IMSIC, PCI), (IMSIC, WIRED), (IMSIC + SPLIT, PCI))
ALL_WORK = tuple((machine + split, bus) for machine in (IMSIC, APLIC)
                 for split in ("", SPLIT) for bus in (PCI, WIRED))
FULL_ROUNDS = 5


def pytest_generate_tests(metafunc):
    if "slot" not in metafunc.fixturenames:
        return
    report = Report.of(metafunc.config)
    full = report.settings.full
    chosen = [where for cpu, machine in MACHINES
              if (cpu, machine) == SAMPLE or full
              for where in slots.on_machine(report, cpu, machine)]
    if "run" in metafunc.fixturenames:
        slots.parametrize_runs(metafunc, [
            (where, selftest_runs.Run(program)) for where in chosen
            for program in selftest_runs.AIA_ONLY])
        return
    slots.parametrize(metafunc, slots.sample(report, chosen))
    if "vcpus" in metafunc.fixturenames:
        metafunc.parametrize("machine, vcpus", ALL_BOOTS if full else BOOTS)
    else:
        metafunc.parametrize("machine, bus", ALL_WORK if full else WORK)


@pytest.fixture(autouse=True)
def firmware_with_aia(report):
    if report.settings.nacl:
        pytest.skip("nacl-sbi has no Ssaia for its host")


def test_aia_selftest(host, slot, report, verdicts, run):
    place = slot.place
    verdict, output = selftest.run_recorded(verdicts, host, place, report, run)
    selftest.require(host, run, verdict, output)


def append(machine):
    """What the kernel of a guest with that machine is told."""
    return FIRST_VCPU if machine == IMSIC + SPLIT else ""


def again_under_c(slot, report, what, test):
    """Run a test on the slot's host; once more on another one if C fails it, which
    it does now and then. Rust is not to.
    """
    try:
        return test(slot.booted())
    except Failure as failure:
        if slot.backend != "c":
            raise
        slot.discard()
        report.note(f"{slot.name}: {what} has failed once: "
                    f"{str(failure).splitlines()[0]}")
        return test(slot.booted())


@pytest.mark.usefixtures("host")
def test_aia_guest_boots(slot, report, machine, vcpus):
    for _ in range(FULL_ROUNDS if report.settings.full else 1):
        again_under_c(slot, report, f"{vcpus} vCPUs of {machine}",
                      lambda host: guest.boot(host, vcpus, append(machine),
                                              machine=machine))


def test_aia_guest_works(host, disk, served, machine, bus):
    """A guest uses its devices, works, is stopped meanwhile, and reboots."""
    options = f"{guest_devices.disk(bus)} {guest_devices.network(bus)}"
    with Vm(host, options=options, machine=machine,
            append=append(machine)) as vm:
        guest_devices.write_disk(vm)
        guest_devices.use_network(vm, served)
        load.start(vm)
        load.advance(vm)
        vm.qmp.execute("stop")
        vm.qmp.execute("cont")
        load.advance(vm)
        load.finish(vm)
        vm.check("umount /mnt")
        vm.reboot()
        guest_devices.use_network(vm, served)
    guest_devices.check_disk(host, disk)
