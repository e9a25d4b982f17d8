# SPDX-License-Identifier: GPL-2.0
"""SBI nested acceleration: every set of its features, on tools/testing/nacl-sbi.

What an entry costs is counted by that firmware, and judged by the nacl_*_test.
"""

import re
import subprocess
import time

import pytest

from harness import (c_backend, guest, selftest, selftest_runs, slots,
                     splats, verdicts)
from harness.agent import TimedOut
from harness.exceptions import Skip
from harness.host import QEMU, Files, Host, Machine
from harness.report import Report
from harness.slots import HARTS
from workspace.errors import Failure
from workspace.settings import (NACL_FEATURES, nacl_combinations,
                                nacl_features)

CPU = "rv64"
# On these, everything is run that is run without NACL, but for RARE and for what
# needs a larger host or cannot be made short; on the second one with FULL=1 alone.
# Never upstream's own arguments: what they make longer is the same on each platform.
WHOLE = ("all", "none")
# These have no exits of another kind than the programs that are left, so they are
# for FULL=1.
RARE = (
    "*_perf_test*",
    "*stress*",
    "demand_paging_test",
    "demand_paging_test *shmem",
    "get-reg-list",
    "guest_print_test",
    "kvm_create_max_vcpus",
    "riscv/mmu_neighbours_test",
    selftest_runs.INTERFACE,
)
# These have each pair of features in all four ways. FULL=1 takes all sets where
# these are enough otherwise.
SAMPLE = (
    "none",
    "sync_csr+sync_hfence+sync_sret",
    "sync_csr+sync_hfence+autoswap_csr",
    "sync_csr+sync_sret+autoswap_csr",
    "sync_hfence+sync_sret+autoswap_csr",
    "all",
)
# On those that are not in WHOLE, these: world switch, page tables and the log of
# dirty pages, timer, IPIs, fences.
CORE = (
    "riscv/world_switch_*",
    "riscv/mmu_*",
    "riscv/sbi_extensions_test",
    "riscv/sbi_forward_test",
    "riscv/sbi_hsm_test",
    "riscv/sbi_interrupts_test",
    "riscv/sbi_reset_test",
    "riscv/sbi_rfence_test",
    "riscv/vmid_test",
    "arch_timer",
    "kvm_page_table_test",
)
CONTROL = selftest_runs.NACL_CONTROL
# Of the numbers that nacl-sbi knows.
EVENT_STOPPED_WITH_SHMEM = 10
EVENT_SHMEM_NOT_CLEAN = 11
EVENT_VVMA_OF_ANOTHER_VMID = 12
EVENT_VVMA_AHEAD_OF_HGATP = 13
EVENT_CHANGE_UNDER_VSATP = 15
MISUSE_PROBE_FEATURE = 0
MISUSE_SET_SHMEM = 1
MISUSE_SYNC_SRET = 4
MISUSE_SPV_STANDS = 10
MISUSE_NO_HTINST = 11
FOR_EVER = 1 << 32
# What finds out from a trap which access a guest has made, and on what.
WITHOUT_HTINST = ("riscv/mmio_test", "riscv/mmu_faults_test")
ONLINE = "/sys/devices/system/cpu/cpu1/online"
JUDGED = re.compile(r"^chapter15: features (\w+), \d+ checked, 0 wrong\r?$",
                    re.M)
# How long the supervisor that judges the firmware may take.
JUDGE_TIMEOUT = 60
# What the kernel says of firmware that does not do as it should.
COMPLAINT = re.compile(r"NACL: .*\bfailed\b")
# What C fails, on which set, each with the case that notices it.
FAILS_UNDER_C = (
    # CSRs that are written to shared memory do not get to the hart.
    ("sync_csr", "riscv/world_switch_exits_test -t sbi_forward"),
    ("sync_csr+sync_hfence", "riscv/world_switch_exits_test -t sbi_forward"),
    # Fences are queued, and nobody has them done.
    ("sync_hfence", f"{selftest_runs.NACL_COUNTS} -t fences_are_done"),
    # Fences are queued where there is no queue.
    ("none", f"{selftest_runs.NACL_COUNTS} -t fences_are_done"),
)
# For how long, at least, a guest is waited for that is not expected to come to its
# end, and how many times as long as the same takes where it does.
LOST = 20
PATIENCE = 6
USED = re.compile(r"using SBI nested acceleration with (.*)$", re.M)
LOADED = re.compile(r"\bkvm\b.*: VMID \d+ bits available")


def configurations(metafunc):
    report = Report.of(metafunc.config)
    rust_alone = metafunc.definition.get_closest_marker("rust_alone")
    whole_alone = metafunc.definition.get_closest_marker("whole_alone")
    sampled = metafunc.definition.get_closest_marker("sampled") and \
        not report.settings.full
    cpu, = whole_alone and whole_alone.args or (CPU,)
    return [slots.configuration(backend, cpu, nacl)
            for nacl in nacl_combinations()
            if nacl in (WHOLE if whole_alone else SAMPLE)
            or not whole_alone and not sampled
            for backend in sorted(report.artifacts.backends)
            if backend == "rust"
            or not rust_alone and c_backend.keeps_csrs(nacl)]


def pytest_generate_tests(metafunc):
    if "slot" not in metafunc.fixturenames:
        return
    if metafunc.function is test_what_the_c_backend_fails:
        _parametrize_failures(metafunc)
        return
    chosen = configurations(metafunc)
    if "vcpus" in metafunc.fixturenames:
        _parametrize_guests(metafunc, chosen)
    elif "run" in metafunc.fixturenames:
        _parametrize_runs(metafunc, chosen)
    else:
        slots.parametrize(metafunc, chosen)


def _parametrize_failures(metafunc):
    """They run under Rust as well, on hosts that other tests use."""
    report = Report.of(metafunc.config)
    both = len(report.artifacts.backends) == 2 and report.settings.full
    chosen = [(slots.configuration("rust", CPU, nacl), program)
              for nacl, program in FAILS_UNDER_C if both]
    metafunc.parametrize("slot, program", chosen, indirect=["slot"],
                         scope="session",
                         ids=[f"{nacl}-{program}"
                              for (_, _, nacl), program in chosen])


def _parametrize_guests(metafunc, chosen):
    full = Report.of(metafunc.config).settings.full
    pairs = [(where, name, vcpus)
             for where, name in zip(chosen, slots.ids(chosen))
             for vcpus in guests(*where, full)]
    metafunc.parametrize("slot, vcpus",
                         [(where, vcpus) for where, _, vcpus in pairs],
                         indirect=["slot"], scope="session",
                         ids=[f"{name}-{vcpus}" for _, name, vcpus in pairs])


def guests(backend, _cpu, nacl, full):
    """The numbers of vCPUs of guests that boot there.

    Under Rust, test_nacl_guest_while_spv_stands boots one on each set.
    """
    if full or backend == "rust" and nacl in WHOLE:
        return 1, 4
    return ()


def _parametrize_runs(metafunc, chosen):
    runs = selftest_runs.of_all(Report.of(metafunc.config).artifacts.programs)
    assert {*WHOLE, *SAMPLE} <= set(nacl_combinations())
    names = [run.name for run in runs]
    core = selftest_runs.matching(CORE, names)
    rare = selftest_runs.matching(RARE, names)
    full = Report.of(metafunc.config).settings.full
    slots.parametrize_runs(metafunc, [
        (where, run) for where in chosen for run in runs
        if run.name in core or where[-1] in (WHOLE if full else WHOLE[:1])
        and not (run.memory or run.long)
        and (full or run.name not in rare)])


@pytest.fixture(autouse=True)
def all_platforms(report):
    if report.settings.nacl:
        pytest.skip("NACL= has chosen one platform for all other tests")


def judge(report, command_line):
    """The firmware, and above it nothing but a supervisor that judges it."""
    try:
        return subprocess.run(
            [QEMU, "-nodefaults", "-no-user-config", "-no-reboot", "-display",
             "none", "-M", report.settings.machine, "-cpu", CPU,
             "-smp", str(HARTS), "-m", "256M", "-serial", "stdio",
             "-bios", report.artifacts.firmware,
             "-kernel", report.artifacts.firmware_judge,
             "-append", command_line],
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=False,
            timeout=JUDGE_TIMEOUT * report.settings.timeout_factor)
    except subprocess.TimeoutExpired as expired:
        # It has bytes, whatever was asked for, or nothing.
        said = (expired.stdout or b"") + (expired.stderr or b"")
        raise Failure(f"The firmware did not end within {expired.timeout:.0f} "
                      f"s:\n{said.decode(errors='replace')}") from None


@pytest.mark.parametrize("nacl", nacl_combinations())
def test_firmware(report, nacl):
    """The firmware does as the specification says, with bad arguments, too."""
    judged = judge(report, f"nacl_sbi.features={nacl}")
    found = JUDGED.search(judged.stdout)
    if judged.returncode or not found:
        raise Failure(f"The firmware is wrong, or said nothing:\n"
                      f"{judged.stdout}{judged.stderr}")
    wanted = sum(1 << NACL_FEATURES.index(feature)
                 for feature in nacl_features(nacl))
    assert int(found.group(1), 16) == wanted


def test_firmware_that_gives_up(report):
    """It says why, and ends QEMU, even before it knows its platform."""
    judged = judge(report, "quiet")
    assert judged.returncode
    assert "nobody asks for features" in judged.stdout


def require_features(host, used):
    """The host's kernel says which features it uses."""
    # Swapping takes place in the call that enters a guest.
    if "sync_sret" not in used:
        used = used - {"autoswap_csr"}
    names = [name for name in NACL_FEATURES if name in used]
    wanted = ", ".join(names) or "no features"
    said = USED.findall(host.whole_log().replace("\r", ""))
    if not said or said[-1] != wanted:
        raise host.failure(f"The log says that it uses {said}, and not "
                           f"{wanted} at last")


@pytest.mark.rust_alone
def test_features_are_named(host, slot):
    require_features(host, set(nacl_features(slot.nacl)))


def test_nacl_guest(host, vcpus):
    assert guest.boot(host, vcpus).exits > 0


def require_counted(host, slot, report, program, **how):
    """Fail if a program does that judges by the firmware's numbers."""
    run = selftest_runs.Run(program)
    selftest.require(host, run,
                     *selftest.run_in(host, slot, report, run, **how))
    # Of guests that were the only one at a time.
    assert not control(host, report, "event", EVENT_VVMA_OF_ANOTHER_VMID)


@pytest.mark.rust_alone
@pytest.mark.parametrize("program", (selftest_runs.NACL_COUNTS,
                                     selftest_runs.NACL_FENCES,
                                     selftest_runs.NACL_REMOTE))
def test_nacl_counts(host, slot, report, program):
    require_counted(host, slot, report, program)


@pytest.mark.rust_alone
@pytest.mark.whole_alone
def test_generations_of_vmids(host, slot, report):
    """Each hart forgets what it has cached under VMIDs that are given again."""
    host.check("rmmod kvm")
    host.check("insmod /payload/kvm.ko vmid_bits=2")
    require_counted(host, slot, report, selftest_runs.NACL_VMIDS)
    host.check("rmmod kvm")
    host.load_kvm()


@pytest.mark.rust_alone
@pytest.mark.whole_alone("max")
@pytest.mark.parametrize("program", (selftest_runs.NACL_FENCES,
                                     selftest_runs.NACL_REMOTE))
def test_fences_of_svinval(host, slot, report, program):
    """The same fences, by HINVAL where there is no queue."""
    require_counted(host, slot, report, program)


def skips_of_misuse(features):
    """The cases of nacl_misuse_test that need a feature which is not there."""
    needed = {
        "nacl.sync_sret_*": "sync_sret" in features,
        "nacl.sync_csr_fails": "sync_csr" in features,
        # With both, nobody calls it.
        "nacl.sync_hfence_fails": "sync_hfence" in features and
                                  "sync_sret" not in features,
        "nacl.hfences_*": "sync_hfence" in features,
        "nacl.scribbled_on": bool(features),
    }
    return [Skip(selftest_runs.NACL_MISUSE, "it is not called", (cases,))
            for cases, is_called in needed.items() if not is_called]


@pytest.mark.rust_alone
def test_nacl_misuse(host, slot, report):
    require_counted(host, slot, report, selftest_runs.NACL_MISUSE,
                    forgive=splats.forgive_firmware,
                    skips=skips_of_misuse(nacl_features(slot.nacl)))
    # It makes the firmware fail, if that is ever called.
    if set(nacl_features(slot.nacl)) - {"autoswap_csr"} and \
            not COMPLAINT.search(host.whole_log()):
        raise host.failure("The log does not say that the firmware failed")


@pytest.mark.rust_alone
def test_nacl_guest_while_spv_stands(host, report):
    """No interrupt of the host finds an SPV that it has to clear.

    The firmware would leave it set. The host would then enter the guest in place
    of returning from the interrupt, and be lost.
    """
    control(host, report, "misuse", MISUSE_SPV_STANDS, FOR_EVER)
    guest.boot(host, 4)
    assert control(host, report, "misuse", MISUSE_SPV_STANDS, 0) == FOR_EVER


@pytest.mark.rust_alone
@pytest.mark.sampled
def test_nacl_selftest(host, slot, report, run):
    selftest.skip_long(report, run)
    selftest.require(host, run, *selftest.run_in(host, slot, report, run,
                                                 full=False))


@pytest.mark.rust_alone
@pytest.mark.whole_alone
@pytest.mark.parametrize("program", WITHOUT_HTINST)
def test_without_htinst(host, slot, report, program):
    """As on harts that never say which instruction it was: KVM fetches it."""
    run = selftest_runs.Run(program)
    control(host, report, "misuse", MISUSE_NO_HTINST, FOR_EVER)
    try:
        selftest.require(host, run,
                         *selftest.run_in(host, slot, report, run))
    finally:
        left = control(host, report, "misuse", MISUSE_NO_HTINST, 0)
    assert left < FOR_EVER


def control(host, report, *arguments):
    command = report.artifacts.command(CONTROL, " ".join(map(str, arguments)))
    return int(host.check(command), 16)


def shmem(host, report):
    """Where the shared memory of each hart is; 0 if it has none."""
    return [control(host, report, "shmem", hart) for hart in range(HARTS)]


@pytest.fixture
def entered(host, report):
    """A host that has entered guests; it may be a new one that has not."""
    def entries():
        return sum(control(host, report, "entries", hart)
                   for hart in range(HARTS))

    if not entries():
        guest.boot(host, 4)
    assert entries()
    return host


@pytest.mark.rust_alone
def test_fences_have_their_vmid(entered, report):
    """After all that was run on this host: HFENCE.VVMA acts on the VMID that
    the hart has, and not on one that waits in shared memory."""
    host = entered
    assert not control(host, report, "event", EVENT_VVMA_AHEAD_OF_HGATP)


@pytest.mark.rust_alone
def test_vsatp_is_zero_meanwhile(entered, report):
    """Whatever was run: no translation changes under the page table of a guest."""
    host = entered
    assert not control(host, report, "event", EVENT_CHANGE_UNDER_VSATP)


@pytest.mark.rust_alone
@pytest.mark.sampled
def test_shared_memory_is_taken_back(host, report):
    """By harts that go, by a module that goes, and by all at the end."""
    assert all(shmem(host, report))
    host.check(f"echo 0 >{ONLINE}")
    # Which hart is CPU 1 is a matter of the boot.
    assert sorted(map(bool, shmem(host, report))) == [False, True]
    host.check(f"echo 1 >{ONLINE}")
    assert all(shmem(host, report))
    guest.boot(host, 2)
    host.check("rmmod kvm")
    assert not any(shmem(host, report))
    host.load_kvm()
    assert all(shmem(host, report))
    for event in (EVENT_STOPPED_WITH_SHMEM, EVENT_SHMEM_NOT_CLEAN):
        assert not control(host, report, "event", event)


@pytest.mark.rust_alone
@pytest.mark.sampled
def test_features_are_refused(host, slot, report):
    """A feature that the host cannot ask for is not used, and the others are."""
    used = set(nacl_features(slot.nacl))
    host.check("rmmod kvm")
    # It asks for sync_csr first, and then for sync_hfence.
    control(host, report, "skip", MISUSE_PROBE_FEATURE, 1)
    control(host, report, "misuse", MISUSE_PROBE_FEATURE, 1)
    host.load_kvm()
    # On sets without sync_hfence, only the firmware knows that it has refused.
    assert not control(host, report, "misuse", MISUSE_PROBE_FEATURE, 0)
    # What a guest needs on that set is tested where the firmware has no more.
    require_features(host, used - {"sync_hfence"})
    host.check("rmmod kvm")
    host.load_kvm()
    require_features(host, used)


@pytest.mark.rust_alone
@pytest.mark.sampled
def test_shared_memory_is_refused(host, report):
    """A hart without shared memory is not used, and neither is the module."""
    host.check(f"echo 0 >{ONLINE}")
    control(host, report, "misuse", MISUSE_SET_SHMEM, 1)
    assert host.run(f"echo 1 >{ONLINE}").status
    host.check(f"echo 1 >{ONLINE}")
    host.check("rmmod kvm")
    # insmod does not give up at the first error.
    control(host, report, "misuse", MISUSE_SET_SHMEM, 100)
    assert host.run("insmod /payload/kvm.ko").status
    control(host, report, "misuse", MISUSE_SET_SHMEM, 0)
    host.judge(splats.forgive_firmware)
    host.load_kvm()
    assert all(shmem(host, report))


@pytest.mark.rust_alone
@pytest.mark.sampled
def test_shared_memory_is_not_given_back(host, report):
    """What the firmware keeps stays the firmware's, and the log says so."""
    control(host, report, "misuse", MISUSE_SET_SHMEM, 1)
    host.check("rmmod kvm")
    host.until_logged(splats.LEAKED)
    host.judge(lambda log: splats.LEAKED.sub(
        "", splats.forgive_firmware(log)))
    host.load_kvm()
    assert all(shmem(host, report))
    guest.boot(host, 2)


@pytest.mark.rust_sample
def test_no_shared_memory_at_reset(report, backend):
    """As ahead of a kexec: whoever runs next must have all the memory; even if
    guests have been running up to then.
    """
    artifacts = report.artifacts
    host = Host(f"nacl-reset-{backend}",
                Files.of(artifacts, artifacts.backends[backend]),
                Machine(report.settings.machine, CPU, HARTS, nacl="all"),
                report.settings.timeout_factor)
    with host:
        host.load_kvm()
        guest.boot(host, 2)
        guest.leave_running(host, 2)
        # QEMU ends by it, as it does when the host is switched off.
        host.end("reboot -f")
    said = host.kernel_text()
    assert "nacl-sbi: reset, 0 harts have shared memory" in said


def test_failed_entry_is_found(report):
    """Whoever boots a guest notices it, and so does whoever reads the log."""
    if "rust" not in report.artifacts.backends:
        pytest.skip("the C backend goes on with the host's registers")
    artifacts = report.artifacts
    host = Host("nacl-failed-entry",
                Files.of(artifacts, artifacts.backends["rust"]),
                Machine(report.settings.machine, CPU, HARTS, nacl="all"),
                report.settings.timeout_factor)
    host.start()
    try:
        host.load_kvm()
        control(host, report, "misuse", MISUSE_SYNC_SRET, FOR_EVER)
        with pytest.raises(Failure, match="kvm run failed Input/output error"):
            guest.boot(host, 1)
        host.until_logged("NACL: an entry failed")
        with pytest.raises(Failure, match="NACL: an entry failed"):
            host.judge_log()
    finally:
        # QEMU waits for somebody who looks at its guest.
        host.abandon()


def test_what_the_c_backend_fails(host, slot, report, program):
    """The host for C is one of its own, which may be left in any state."""
    name, _, arguments = program.partition(" ")
    run = selftest_runs.Run(name, arguments)
    began = time.monotonic()
    selftest.require(host, run, *selftest.run_in(host, slot, report, run,
                                                 skips=()))
    took = time.monotonic() - began
    assert _under_c(report, slot.nacl, run, max(LOST, took * PATIENCE)) in \
        (verdicts.FAIL, "hangs")


def _under_c(report, nacl, run, seconds):
    """What becomes of a program under C in so many seconds."""
    artifacts = report.artifacts
    host = Host(f"nacl-c-{nacl}", Files.of(artifacts, artifacts.backends["c"]),
                Machine(report.settings.machine, CPU, HARTS, nacl=nacl),
                report.settings.timeout_factor)
    host.start()
    try:
        host.load_kvm()
        guest.require_backend(host, "c")
        result = host.run(artifacts.command(run.program, run.arguments(False)),
                          seconds)
    except TimedOut:
        # Nothing else has happened: QEMU has not ended, and the host has booted.
        if LOADED.search(host.kernel_text()):
            return "hangs"
        raise
    finally:
        host.abandon()
    found = verdicts.judge(result.status, result.output, ours=True)
    if found.what == verdicts.SKIP:
        raise Failure(f"{run.name} under c, NACL {nacl}:\n{result.output}")
    return found.what
