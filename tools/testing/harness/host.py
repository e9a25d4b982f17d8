# SPDX-License-Identifier: GPL-2.0
"""The emulated host: a RISC-V kernel with kvm.ko, under QEMU's TCG."""

import fcntl
import functools
import itertools
import re
import shutil
import signal
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pexpect

from workspace import image, process
from workspace.errors import Failure
from workspace.process import last_lines
from workspace.settings import LOGS

from . import backend, device_tree, port, splats
from .agent import COMMAND_TIMEOUT, READY, Agent, TimedOut

QEMU = "qemu-system-riscv64"
BOOT_TIMEOUT = 60
# For what the kernel still does when the last process with a VM has ended.
UNLOAD_TIMEOUT = 20
# For a line of the kernel that is said already.
LOG_TIMEOUT = 10
# Those of this process whose QEMU may be running.
_started = set()
# A directory for each VM that there is, in the host.
VMS = "/sys/kernel/debug/kvm"
# CPUs that lack something, by the names that they have here.
LACKING = {"rv64-no-sstc": "rv64,sstc=off"}
# What nacl-sbi cannot pass on to its host, by the CPU that has it: it would have
# to switch state that no test there is about.
NACL_CPU = {"max": ",smaia=off,ssaia=off,zicfilp=off,zicfiss=off"}


@dataclass(frozen=True)
class Files:
    """What a host is booted from."""

    kernel: Path
    module: Path
    disk: Path
    initramfs: Path
    programs: tuple = ()
    # That of the guests, if not the host's own.
    guest_kernel: Path | None = None
    # That which has SBI nested acceleration.
    firmware: Path | None = None
    # What mounts the disk, for a kernel that cannot do that by itself.
    initrd: Path | None = None

    @classmethod
    def of(cls, artifacts, built, guest_kernel=None):
        """One of the builds, with everything that goes with each."""
        return cls(built.kernel, built.module, artifacts.disk,
                   artifacts.initramfs,
                   (*artifacts.programs.values(), *built.test_modules),
                   guest_kernel, artifacts.firmware, built.initrd)


@dataclass(frozen=True)
class Machine:
    """What the host looks like."""

    machine: str = "virt"
    cpu: str = "rv64"
    harts: int = 2
    memory: str = "2G"
    append: str = ""
    options: tuple = ()
    # The features of SBI nested acceleration, as NACL= has them; without any
    # name, the firmware is QEMU's own, which has none of it.
    nacl: str = ""
    # The names of the ports through which programs in it are spoken to.
    ports: tuple = ()
    # The size of an empty disk, which is /dev/vdc.
    scratch: int = 0
    # The name of what its device tree has in addition; see device_tree.py.
    device_tree: str = ""

    def cpu_option(self):
        """The CPU for QEMU."""
        cpu = LACKING.get(self.cpu, self.cpu)
        return cpu + NACL_CPU.get(self.cpu, "") if self.nacl else cpu


@dataclass(eq=False)
class Host(Agent):
    """A booted host, for as long as the `with` block lasts.

    The log of its kernel is NAME.kernel.log, what was run in it and what that
    printed is NAME.log. Leaving the block powers it off and fails if its
    kernel complained.
    """

    name: str
    files: Files
    machine: Machine = field(default_factory=Machine)
    timeout_factor: float = 1.0

    def __post_init__(self):
        _check_machine(self.machine.machine)
        self._claim_logs()
        self._judged = 0
        self._marks = 0
        self._ended = False
        self._process = None
        self._work = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, _error, _trace):
        if kind is None:
            self.finish()
        else:
            self.abandon()

    def start(self) -> None:
        """Boot; either finish() or abandon() has to follow."""
        try:
            self._start()
            self._wait(READY, BOOT_TIMEOUT * self.timeout_factor,
                       "The host did not boot")
        except BaseException:
            self._stop()
            raise

    def finish(self) -> None:
        """Power off, and fail if the kernel complained."""
        try:
            if not self._ended:
                self.judge()
                self.end("poweroff -f")
        finally:
            self._stop()
        self.judge()

    def abandon(self) -> None:
        """End a host in whatever state; nothing is judged."""
        self._stop()

    def load_kvm(self):
        self.check("insmod /payload/kvm.ko")

    def backend(self):
        """The backend that the host's own log names."""
        return backend.loaded(self.whole_log())

    def kernel_text(self):
        """The kernel's log as far as it is printed, of a host in any state."""
        return self.kernel_log.read_text(errors="replace")

    def whole_log(self) -> str:
        """The kernel's log, with everything that it has said up to now."""
        self._marks += 1
        mark = f"harness: mark {self._marks}."
        self.check(f"echo '{mark}' >/dev/kmsg")
        self.until_logged(re.escape(mark))
        return self.kernel_text()

    def until_logged(self, pattern: str | re.Pattern,
                     timeout=LOG_TIMEOUT) -> None:
        """Wait until the kernel's log has what matches `pattern`. Another CPU
        may print it, some time after a program has gone on.
        """
        self.until_is(lambda: re.search(pattern, self.kernel_text()),
                      f"The log did not have `{pattern}`", timeout)

    def unload_kvm(self) -> None:
        """Unload kvm.ko; fail if a VM is left, or if anything holds it."""
        self.until(f"test -z \"$(ls -d {VMS}/[0-9]*-* 2>/dev/null)\"", "A VM is left",
                   UNLOAD_TIMEOUT)
        self.check("rmmod kvm")

    def judge(self, forgive: Callable[[str], str] | None = None) -> None:
        """Fail if the kernel has complained since the last call, or remembers
        that it once had a reason to.

        `forgive` takes away from its log what it may say nevertheless.
        """
        self.judge_log(forgive)
        if self._process and not self._ended:
            self._fail_if(splats.find_wrong_state(
                self.check(splats.STATE), self.kernel_text()))

    def judge_log(self, forgive: Callable[[str], str] | None = None) -> None:
        """As judge(), of a host that may be in any state."""
        text = self.kernel_text()
        new = text[self._judged:]
        self._judged = len(text)
        self._fail_if(splats.find(forgive(new) if forgive else new))

    def _fail_if(self, complaint):
        if complaint:
            raise Failure("The host's kernel complained: "
                          f"{splats.shown(complaint)}\n"
                          f"The whole log: {self.kernel_log}")

    def failure(self, message, kind=Failure):
        """A failure that shows how both logs end."""
        return kind(
            f"{message}.\n"
            f"The last lines of {self.log}:\n{last_lines(self.log)}\n"
            f"The last lines of {self.kernel_log}:\n"
            f"{last_lines(self.kernel_log)}",
            "A slow machine needs TIMEOUT_FACTOR=, the factor by which every "
            "time-out is longer.")

    def argv(self, mode):
        """QEMU's command line; `mode` is the one of the host's init."""
        machine = self.machine
        console = "stdio,id=console,signal=off"
        if mode == "shell":
            console += ",mux=on"
        append = (f"root=/dev/vda ro init=/init console=ttyS0 panic=-1 "
                  f"host_mode={mode} {machine.append}").strip()
        if machine.nacl:
            append += f" nacl_sbi.features={machine.nacl}"
        return [
            QEMU, "-nodefaults", "-no-user-config", "-no-reboot",
            "-display", "none",
            "-M", machine.machine, "-cpu", machine.cpu_option(),
            "-smp", str(machine.harts), "-m", machine.memory,
            "-kernel", str(self.files.kernel), "-append", append,
            "-drive", f"file={self.files.disk},format=raw,if=none,"
                      "id=system,readonly=on,file.locking=off",
            "-drive", f"file={self._work}/payload.ext4,format=raw,if=none,"
                      "id=payload,readonly=on",
            "-device", "virtio-blk-device,drive=system",
            "-device", "virtio-blk-device,drive=payload",
            "-chardev", console,
            "-device", "virtio-serial-device",
            "-device", "virtconsole,chardev=console",
            "-chardev", f"file,id=log,path={self.kernel_log}",
            "-serial", "chardev:log",
            *self._firmware_options(),
            *self._initrd_options(),
            *self._scratch_options(),
            *port.options(self._work, machine.ports),
            *machine.options,
        ]

    def connect(self, name):
        """A connection to the port of that name."""
        return port.connect(self._work, name)

    def transcript(self, who):
        """A place in this host's log for what somebody else says."""
        return _Lines(self._transcript, f"[{who}] ")

    def shell(self):
        """Hand the terminal to a shell on the host, until it powers off."""
        self._make_payload()
        try:
            terminal = pexpect.spawn(*_split(self.argv("shell")), timeout=None)
            terminal.setwinsize(*shutil.get_terminal_size()[::-1])
            terminal.interact(escape_character=None)
            terminal.close(force=True)
        finally:
            self._stop()

    def _claim_logs(self):
        """Open logs that no other run is writing to."""
        LOGS.mkdir(parents=True, exist_ok=True)
        for name in itertools.chain(
                [self.name], (f"{self.name}.{n}" for n in itertools.count(2))):
            self.log = LOGS / f"{name}.log"
            self.kernel_log = LOGS / f"{name}.kernel.log"
            self._transcript = open(self.log, "a", encoding="utf-8")
            try:
                fcntl.flock(self._transcript, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._transcript.close()
                continue
            self._transcript.truncate(0)
            self.kernel_log.write_text("")
            return

    def _start(self):
        _started.add(self)
        self._make_payload()
        argv = self.argv("agent")
        if self.machine.device_tree:
            argv += device_tree.options(argv, self.machine.device_tree,
                                        self._work)
        self._transcript.write(f"$ {' '.join(argv)}\n")
        try:
            self._process = pexpect.spawn(
                *_split(argv), encoding="utf-8", codec_errors="replace",
                echo=False, timeout=BOOT_TIMEOUT)
        except pexpect.ExceptionPexpect as error:
            raise Failure(f"{QEMU} cannot be started: {error}",
                          "`make run` installs it.") from error
        self._process.delaybeforesend = None
        self._process.logfile_read = _Lines(self._transcript)

    def _make_payload(self):
        self._work = Path(tempfile.mkdtemp(prefix="host-"))
        root = self._work / "payload"
        root.mkdir()
        shutil.copyfile(self.files.guest_kernel or self.files.kernel,
                        root / "Image")
        shutil.copyfile(self.files.module, root / "kvm.ko")
        shutil.copyfile(self.files.initramfs, root / "initramfs")
        for program in self.files.programs:
            shutil.copy(program, root / Path(program).name)
        image.drive(root, self._work / "payload.ext4", self._work / "log")
        with open(self._work / "scratch", "wb") as scratch:
            scratch.truncate(self.machine.scratch)

    def _firmware_options(self):
        return ("-bios", str(self.files.firmware)) if self.machine.nacl else ()

    def _initrd_options(self):
        return ("-initrd", str(self.files.initrd)) if self.files.initrd else ()

    def _scratch_options(self):
        if not self.machine.scratch:
            return ()
        return ("-drive", f"file={self._work}/scratch,format=raw,if=none,"
                          "id=scratch",
                "-device", "virtio-blk-device,drive=scratch")

    def _terminal(self):
        return self._process

    def _wait(self, pattern, seconds, what):
        try:
            return self._process.expect(pattern, seconds)
        except pexpect.TIMEOUT:
            self._transcript.flush()
            raise self.failure(what, TimedOut) from None
        except pexpect.EOF:
            self._transcript.flush()
            self._process.close()
            raise self.failure(
                f"{what}: QEMU has ended, status {self._process.exitstatus}, "
                f"signal {self._process.signalstatus}") from None

    def end(self, command):
        """Run a command by which the host ends; what the `with` block does."""
        self._process.sendline(command)
        self._wait(pexpect.EOF, COMMAND_TIMEOUT * self.timeout_factor,
                   f"The host did not end by `{command}`")
        self._ended = True
        self._process.close()
        if self._process.exitstatus:
            raise self.failure(
                f"QEMU exited with status {self._process.exitstatus}")

    def _stop(self):
        _started.discard(self)
        if self._process:
            # On a busy machine, close() alone gives up before QEMU has gone.
            if self._process.isalive():
                self._process.kill(signal.SIGKILL)
                self._process.wait()
            self._process.close()
            self._process = None
        self._transcript.close()
        if self._work:
            shutil.rmtree(self._work, ignore_errors=True)
            self._work = None


def abandon_all():
    """End the hosts of this process, for one that was interrupted."""
    for host in tuple(_started):
        host.abandon()


@functools.cache
def _check_machine(machine):
    """Fail if QEMU has no such machine."""
    listed = process.output([QEMU, "-M", "help"]).splitlines()[1:]
    known = [line.split()[0] for line in listed if line.strip()]
    if machine.split(",")[0] not in known:
        raise Failure(f"MACHINE={machine} is not a machine of {QEMU}.",
                      "Valid: " + " ".join(known))


class _Lines:
    """A log of what a terminal shows, without its carriage returns.

    With a prefix, it is written by the line: others write to the log, too.
    """

    def __init__(self, file, prefix=""):
        self._file = file
        self._prefix = prefix
        self._partial = ""

    def write(self, text):
        text = text.replace("\r", "")
        if self._prefix:
            *whole, self._partial = (self._partial + text).split("\n")
            text = "".join(f"{self._prefix}{line}\n" for line in whole)
        self._file.write(text)

    def flush(self):
        self._file.flush()


def _split(argv):
    return argv[0], argv[1:]
