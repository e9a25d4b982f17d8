# SPDX-License-Identifier: GPL-2.0
"""Debian's own kernel as the host, untouched, with kvm.ko as a module of its own
that takes the place of the kernel's.

What guests do there is in other files, where a test is marked `stock`.
"""

import re

import pytest

from harness import (backend, debian_disk, guest, kernel_vectors, libvirt,
                     selftest, selftest_runs, slots)
from harness import verdicts as judges
from harness.exceptions import DIFFERS, SKIPS
from harness.host import Host, Machine
from harness.report import Report
from harness.verdicts import Verdicts
from workspace import selftests
from workspace.errors import Failure

SAMPLE = ("riscv/sbi_*", "riscv/vector_test", "riscv/vmid_test",
          "riscv/world_switch_*")
# Events that came with Linux 7.3 are most of what this is about.
LEFT_OUT = ("riscv/trace_test",)
RELOADS = 3
# The program takes a second at least, and the kernel uses vectors 2000 times in
# each on each hart.
KERNEL_USES = 500
FULL_RELOADS = 20
# Where a package is installed, in memory here; and programs for that, under the
# names by which they are called. BusyBox has others of these names.
MODULES = "/lib/modules"
INSTALLED = ("/var", MODULES, "/usr/share/doc")
PROGRAMS = "/run/programs"
DPKG = f"PATH={PROGRAMS}:/usr/bin:/run/bin /usr/bin/dpkg"
DEPMOD = f"{PROGRAMS}/depmod"
MODPROBE = f"{PROGRAMS}/modprobe"
# The directory of the kernel's own module.
OWN = "kernel/arch/riscv/kvm"


def pytest_generate_tests(metafunc):
    report = Report.of(metafunc.config)
    if "run" in metafunc.fixturenames:
        _parametrize_runs(metafunc, report)
    elif "slot" in metafunc.fixturenames:
        slots.parametrize(metafunc, slots.on_stock())


def _parametrize_runs(metafunc, report):
    """A sample; with FULL=1 all, and under the kernel's own module as well.

    They are short in both cases: what is long shows as much on other hosts.
    """
    full = report.settings.full
    # A host of this kind has as much memory as it can.
    runs = [run for run in selftest_runs.of_all(report.artifacts.programs)
            if run.name not in LEFT_OUT and not (run.memory or run.long)]
    if not full:
        names = selftest_runs.matching(SAMPLE, [run.name for run in runs])
        runs = [run for run in runs if run.name in names]
    chosen = slots.on_stock(("rust", "c") if full else ("rust",))
    slots.parametrize_runs(metafunc, [(where, run) for where in chosen
                                      for run in runs])


@pytest.fixture(autouse=True)
def made(report):
    """Without the module, nothing was asked for that needs it."""
    if not report.artifacts.stock:
        pytest.skip("only with the Rust backend")


@pytest.fixture
def stock_verdicts(report):
    """What the selftests say, filled while they are run."""
    return Verdicts(report.table("stock verdicts"))


def test_stock_kernel_has_no_rust(host):
    """Else this would show nothing."""
    release = host.check("uname -r").strip()
    assert re.search(r"\+deb\d+-riscv64$", release)
    owners = {line.partition("[")[2] for line in
              host.check("grep rust_helper_ /proc/kallsyms").splitlines()}
    assert owners == {"kvm]"}


def test_stock_selftest(host, slot, report, stock_verdicts, run):
    """The project's own pass; of the kernel's, those that pass under its own
    module: they are of a newer kernel.
    """
    verdict, output = selftest.run_recorded(stock_verdicts, host, slot, report,
                                            run, full=False)
    if slot.backend == "rust" and run.program in selftests.ours():
        selftest.require(host, run, verdict, output)


@pytest.mark.judges
def test_stock_verdicts(report, stock_verdicts):
    """What passes under the kernel's own module passes under Rust."""
    if not report.settings.full:
        pytest.skip("the kernel's own module runs selftests only with FULL=1")
    backends = sorted(report.artifacts.stock.backends)
    print(f"\n{stock_verdicts.table(backends, DIFFERS, SKIPS)}")
    worse = [row for row in
             stock_verdicts.different(backends, DIFFERS, SKIPS)
             if row.found["c"] and row.found["c"].what == judges.PASS]
    assert stock_verdicts.rows(backends), "no selftest was run"
    if worse:
        raise Failure("What passes under the kernel's own module:\n" +
                      "\n".join(str(row) for row in worse))


def test_stock_kernel_vectors(host, slot, report):
    """The kernel does not ask for the vector unit, so no vCPU may have it when
    interrupts are enabled."""
    assert kernel_vectors.run(host, slot, report, "times") >= KERNEL_USES


def test_stock_reloads(host, report):
    for _ in range(FULL_RELOADS if report.settings.full else RELOADS):
        host.unload_kvm()
        host.check("test ! -e /dev/kvm")
        host.load_kvm()
    guest.boot(host, 1)


@pytest.fixture
def packaged(host, report):
    """A host with the kernel's own modules as a machine has them, known to
    dpkg; none is loaded.
    """
    package = report.artifacts.stock.package
    modules = f"{MODULES}/{package.release}"
    host.unload_kvm()
    host.check(f"mkdir {PROGRAMS} && cd {PROGRAMS} && "
               "ln -s /usr/bin/kmod depmod && ln -s /usr/bin/kmod modprobe && "
               # Of what is installed, nothing is a library.
               "ln -s /run/bin/true ldconfig")
    for place in INSTALLED:
        host.check(f"mount -t tmpfs tmpfs {place}")
    host.check("cd /var && mkdir -p lib/dpkg/info lib/dpkg/updates && "
               "cp /payload/status lib/dpkg/status")
    # Directories that another package has are not removed with ours.
    directories = " ".join(("/.", "/usr", "/usr/lib", f"/usr{MODULES}",
                            f"/usr{modules}", "/usr/share", "/usr/share/doc"))
    host.check(f"printf '%s\\n' {directories} >/var/lib/dpkg/info/"
               f"linux-modules-{package.release}.list")
    host.check(f"mkdir -p {modules}/{OWN} && "
               f"cp /payload/c.ko {modules}/{OWN}/kvm.ko && "
               f"{DEPMOD}")
    yield package
    host.check(f"umount {' '.join(INSTALLED)} && rm -r {PROGRAMS}")
    host.load_kvm()


def loaded(host):
    """The backend that modprobe loads, and unloads again."""
    began = len(host.whole_log())
    host.check(f"{MODPROBE} kvm")
    found = backend.loaded(host.whole_log()[began:])
    host.check("test -e /dev/kvm")
    host.check(f"{MODPROBE} -r kvm")
    host.check("test ! -e /dev/kvm")
    return found


def contents(host):
    """Of all files that a package may bring, the names and the checksums."""
    return host.check("find /usr/lib/modules /usr/share/doc -type f "
                      "-exec md5sum {} + | sort -k 2")


def test_stock_package(host, packaged):
    """The package takes the place of the kernel's own module, for that kernel
    alone, and leaves nothing when it is removed."""
    # Of another kernel.
    other = f"{packaged.release}-other"
    host.check(f"cd {MODULES} && cp -r {packaged.release} {other} && "
               f"{DEPMOD} {other}")
    before = contents(host)
    assert loaded(host) == "c"
    host.check(f"{DPKG} -i /payload/{packaged.file.name}")
    assert loaded(host) == "rust"
    chosen = host.check(f"{MODPROBE} -S {other} "
                        "--show-depends kvm")
    assert chosen.split()[-1].endswith(f"{MODULES}/{other}/{OWN}/kvm.ko")
    # A new version of the package, or the same again.
    host.check(f"{DPKG} -i /payload/{packaged.file.name}")
    assert loaded(host) == "rust"
    host.check(f"{DPKG} -P {packaged.name}")
    assert contents(host) == before
    assert loaded(host) == "c"


def test_stock_package_needs_its_kernel(host, packaged):
    """It is for one version of the kernel's package."""
    host.check("sed -i 's/^Version: .*/Version: 7.0.0-1/' /var/lib/dpkg/status")
    refused = host.run(f"{DPKG} -i /payload/{packaged.file.name}")
    assert refused.status != 0
    assert "dependency problems" in refused.output


def test_stock_libvirt(report):
    """Debian's libvirt starts a guest, saves it, goes on with it, and ends it."""
    if not report.settings.full:
        pytest.skip("only with FULL=1")
    disk = report.artifacts.stock.libvirt
    with Host("test-libvirt", slots.stock_files(report.artifacts, "rust"),
              Machine(report.settings.machine, slots.STOCK_CPU,
                      memory=slots.STOCK_MEMORY, scratch=slots.SCRATCH,
                      options=debian_disk.options(disk)),
              report.settings.timeout_factor) as host:
        host.load_kvm()
        guest.require_backend(host, "rust")
        with libvirt.running(host):
            libvirt.virsh(host, f"start {libvirt.NAME}")
            libvirt.says(host, "^guest: up")
            libvirt.computes(host, 6)
            libvirt.virsh(host, f"save {libvirt.NAME} /tmp/saved")
            libvirt.virsh(host, "restore /tmp/saved")
            libvirt.computes(host, 7)
            libvirt.virsh(host, f"destroy {libvirt.NAME}")
        host.unload_kvm()


def test_stock_module_of_another_build_is_refused(host):
    """As when a kernel of the same name has been built again."""
    host.unload_kvm()
    # The same length: what lies behind stays where it is.
    host.check("sed 's/ Debian \\([0-9]\\)/ Lebian \\1/' /payload/kvm.ko >/tmp/kvm.ko")
    refused = host.run("insmod /tmp/kvm.ko")
    assert refused.status != 0
    assert "build it again" in host.check("dmesg | tail -n 5")
    host.check("rm /tmp/kvm.ko")
    host.load_kvm()
