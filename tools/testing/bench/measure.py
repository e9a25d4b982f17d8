# SPDX-License-Identifier: GPL-2.0
"""Measurements of one backend, in a host that counts instructions as time."""

import dataclasses
import re
from dataclasses import dataclass

from harness import guest
from harness.host import Host, Machine
from workspace.errors import Failure
from workspace.process import output, run
from workspace.settings import LOGS, REPOSITORY
from workspace.steps import say
from workspace.toolchain import CROSS_COMPILE

# Each is a directory of C files, or one C file.
PROGRAMS = ("exit_cost", "child_time")
# What they share with the selftests.
HEADERS = REPOSITORY / "tools/testing/selftests/kvm/riscv"

# One instruction takes one nanosecond of the emulated machine's time, and idle
# time passes at once. QEMU's virt machine has a time CSR of 10 MHz.
COUNTED = ("-icount", "shift=0,sleep=off")
INSTRUCTIONS_PER_TICK = 100
INSTRUCTIONS_PER_MICROSECOND = 1000

# Counting makes the emulator slow; these are seconds of ours, not of the host.
TIMEOUT = 600

# A machine that has what the usual one has not, and what is said of that there.
AIA_MACHINE = "virt,aia=aplic-imsic,aia-guests=3"
NO_AIA = "the host has no AIA"

# While a disk is waited for, the emulated time passes at once: no task hangs.
NO_HUNG_TASKS = "sysctl.kernel.hung_task_timeout_secs=0"

# The first guest also pays for reading its files from the disk.
GUESTS = 4
# What a guest does besides to boot, by the mode of its init, and how often: its
# cost is the difference to a guest that does it not even once.
WORK = (("fork", "{} programs started in a guest", 300),
        ("pipe", "{} lines to and fro between processes of a guest", 3000))

EXIT_COST = re.compile(r"^exit_cost (\S+) (\d+) (\d+) (.+)$", re.M)
NOT_MEASURED = re.compile(r"^not_measured (\S+) ([^:]+): (.+)$", re.M)
EXIT_TRAPS = re.compile(
    r"^exit_traps (\S+) (-?\d+) (-?\d+) (-?\d+) (\d+) (.+)$", re.M)
GOOD = re.compile(r"^guest: good: ", re.M)
CHILD_TIME = re.compile(r"^child_time (\d+)$", re.M)


@dataclass(frozen=True)
class Case:
    """One kind of exit."""

    name: str
    title: str
    instructions: float


@dataclass(frozen=True)
class Guest:
    """What a whole guest does."""

    name: str
    title: str
    instructions: int
    exits: int

    def less(self, other):
        """What it does that the other one does not."""
        return Guest(self.name, self.title,
                     self.instructions - other.instructions,
                     self.exits - other.exits)


@dataclass(frozen=True)
class Traps:
    """What one exit traps to the hypervisor below for, of each kind."""

    name: str
    title: str
    calls: float
    csrs: float
    fences: float

    @property
    def all(self):
        return self.calls + self.csrs + self.fences


@dataclass(frozen=True)
class LeftOut:
    """A kind of exit that this host cannot have."""

    name: str
    title: str
    reason: str


@dataclass(frozen=True)
class Measurements:
    """All that is measured of one backend."""

    cases: tuple
    left_out: tuple
    guests: tuple
    text_bytes: int


def compile_programs(sources, directory):
    """Build the programs that run in the host; return their paths."""
    log = LOGS / "bench-build.log"
    directory.mkdir(parents=True, exist_ok=True)
    programs = []
    for name in PROGRAMS:
        programs.append(directory / name)
        run([f"{CROSS_COMPILE}gcc", "-O2", "-Wall", "-Werror", "-static",
             "-pthread", f"-I{HEADERS}", "-o", programs[-1], *c_files(sources / name)],
            log, f"bench: build of {name}",
            "The riscv64 compiler and its C library come with `make run`.")
    return tuple(programs)


def c_files(program):
    if program.is_dir():
        return sorted(program.glob("*.c"))
    return [program.with_suffix(".c")]


def counting_machine(cpu, nacl="", options=()):
    """A machine that counts its instructions."""
    return Machine(cpu=cpu, harts=1, append=NO_HUNG_TASKS, nacl=nacl,
                   options=(*COUNTED, *options))


def measure(backend, files, cpu, timeout_factor, stock=False):
    """Boot a host with this backend and measure everything in it; only exits,
    if its kernel is a distribution's, with which guests take minutes to boot.
    """
    host = Host(f"bench-{backend}", files,
                counting_machine(cpu), timeout_factor)
    say("bench", f"{backend}: booting a host with counted instructions")
    with host:
        host.load_kvm()
        say("bench", f"{backend}: exits")
        printed = host.check("/payload/exit_cost", TIMEOUT)
        cases = exit_cases(printed)
        if not cases:
            raise host.failure("exit_cost printed no result")
        guest.require_backend(host, backend)
        guests = () if stock else measure_guests(backend, host)
    cases, lacking = with_messages(
        backend, files, cpu, timeout_factor, cases, left_out(printed))
    return Measurements(cases, lacking, guests, text_bytes(files.module))


def with_messages(backend, files, cpu, timeout_factor, cases, lacking):
    """The cases, and those that a machine without AIA lacks, measured on one that
    has it; and what is lacking still.
    """
    names = [case.name for case in lacking if case.reason == NO_AIA]
    if not names:
        return cases, lacking
    say("bench", f"{backend}: interrupts by message")
    host = Host(f"bench-{backend}-aia", files,
                dataclasses.replace(counting_machine(cpu), machine=AIA_MACHINE),
                timeout_factor)
    with host:
        host.load_kvm()
        printed = host.check(f"/payload/exit_cost {' '.join(names)}", TIMEOUT)
        guest.require_backend(host, backend)
    found = exit_cases(printed)
    missing = set(names) - {case.name for case in found}
    return (*cases, *found), tuple(
        case for case in (*lacking, *left_out(printed))
        if case.name not in names or case.name in missing and
        case.reason != NO_AIA)


def measure_guests(backend, host):
    """What whole guests cost."""
    say("bench", f"{backend}: boots of a Linux guest")
    guests = [fewest(host, "boot", "Boot of a guest", "check")]
    for mode, title, rounds in WORK:
        title = title.format(rounds)
        say("bench", f"{backend}: {title}")
        guests.append(fewest(host, mode, title, mode, rounds)
                      .less(fewest(host, mode, title, mode)))
    return tuple(guests)


def measure_traps(backend, nacl, files, cpu, timeout_factor, whole=True):
    """Boot a host on nacl-sbi with these features; return what it counted.

    If not `whole`, it may be that some kinds of exits do not get through.
    """
    say("bench", f"{backend}: what traps to L0, with NACL {nacl}")
    host = Host(f"bench-{backend}-{nacl}", files,
                counting_machine(cpu, nacl), timeout_factor)
    with host:
        host.load_kvm()
        result = host.run("/payload/exit_cost", TIMEOUT)
        traps = exit_traps(result.output)
        if not traps or whole and result.status:
            raise host.failure(f"exit_cost exited with status {result.status} "
                               f"and printed {len(traps)} lines of traps")
        guest.require_backend(host, backend)
    return traps


def exit_traps(text):
    """What exit_cost printed of a host on nacl-sbi."""
    return tuple(
        Traps(name, title, *(int(count) / int(exits) for count in counts))
        for name, *counts, exits, title in EXIT_TRAPS.findall(text))


def exit_cases(text):
    """The cases that exit_cost printed."""
    return tuple(
        Case(name, title,
             int(ticks) * INSTRUCTIONS_PER_TICK / int(exits))
        for name, ticks, exits, title in EXIT_COST.findall(text))


def left_out(text):
    """The cases that exit_cost said cannot be had on this host."""
    return tuple(LeftOut(*found) for found in NOT_MEASURED.findall(text))


def fewest(host, name, title, mode, rounds=0):
    """What there is from the start of a guest's QEMU to its end: of some guests,
    that with the least instructions, since the host's interrupts can only make
    it more."""
    return min((_whole_guest(host, name, title, mode, rounds)
                for _ in range(GUESTS)), key=lambda guest: guest.instructions)


def _whole_guest(host, name, title, mode, rounds):
    text = host.check(f"GUEST_APPEND=guest_rounds={rounds} "
                      f"/payload/child_time guest 1 {mode}", TIMEOUT)
    time = CHILD_TIME.search(text)
    ended = guest.ENDED.search(text)
    if not time or not ended or not GOOD.search(text):
        raise host.failure(f"The guest did not get through its init ({mode})")
    return Guest(name, title,
                 int(time.group(1)) * INSTRUCTIONS_PER_MICROSECOND,
                 int(ended.group(3)))


def text_bytes(module):
    """The first column of `size`: code and constants."""
    lines = output([f"{CROSS_COMPILE}size", module]).splitlines()
    fields = lines[1].split() if len(lines) == 2 else []
    if not fields or not fields[0].isdigit():
        raise Failure(f"`{CROSS_COMPILE}size {module}` printed no size:\n"
                      + "\n".join(lines))
    return int(fields[0])
