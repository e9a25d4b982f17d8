# SPDX-License-Identifier: GPL-2.0
"""A guest that is driven from here, its QEMU over QMP, its user space by lines
of shell."""

import pexpect

from workspace.errors import Failure

from . import port, qmp, splats
from .agent import READY, Agent, TimedOut
from .host import VMS

# Guests that there can be at once in one host, and what each has for a name.
SLOTS = tuple(f"vm{number}" for number in range(3))
PORTS = tuple(f"{slot}.{what}" for slot in SLOTS
              for what in ("console", "qmp"))
BOOT_TIMEOUT = 120
# Of firmware, which looks at every device that there may be.
FIRMWARE_TIMEOUT = 300
# Lines of the guest's kernel that a failure shows.
SHOWN = 15
# How often a guest that says nothing is looked after.
INTERVAL = 10


class Vm(Agent):
    """A guest, for as long as the `with` block lasts.

    Leaving the block powers it off, unless it has been ended before, and fails
    if its kernel has complained, if QEMU has, or if anything is left of it.
    """

    # What the guest is told on its console.
    _reset = "reboot -f\n"
    _poweroff = "poweroff -f\n"

    def __init__(self, host, slot=0, vcpus=2, options="", accel="kvm",
                 cgroup="", incoming=False, machine="", append=""):
        self.host = host
        self.name = SLOTS[slot]
        self.vcpus = vcpus
        self.timeout_factor = host.timeout_factor
        self.directory = f"/tmp/{self.name}"
        self._kernel_log = f"{self.directory}/kernel"
        self._options = options
        self._environment = (f"GUEST_ACCEL={accel} GUEST_CGROUP={cgroup} "
                             f"GUEST_MACHINE={machine} "
                             f"GUEST_APPEND='{append}'")
        self._incoming = incoming
        self._transcript = host.transcript(self.name)
        self._connections = []
        self._ended = False
        # What the guest's kernel has said in the QEMU that it came from.
        self._said_before = ""
        self._has_left = False
        self._log_began = len(host.kernel_text())

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self._disconnect()
            raise
        return self

    def __exit__(self, kind, _error, _trace):
        try:
            if kind is None:
                self._finish()
        finally:
            self._disconnect()

    @property
    def pid(self):
        """The process number of this guest's QEMU in the host."""
        return int(self.host.check(f"cat {self.directory}/pid"))

    @property
    def exits(self):
        """How often its vCPUs have left the guest so far."""
        return int(self.host.check(f"cat {VMS}/{self.pid}-*/exits"))

    def await_boot(self):
        """Wait until the guest's user space takes commands."""
        self._wait(READY, BOOT_TIMEOUT * self.timeout_factor,
                   "The guest did not boot")

    def reboot(self):
        """Have the guest reboot, and wait until it is there again."""
        self._console.send(self._reset)
        reason = self.qmp.event("RESET")["reason"]
        if reason != "guest-reset":
            raise self.failure(f"The guest was reset by {reason}")
        self.await_boot()

    def threads(self):
        """The thread of each vCPU in the host."""
        cpus = self.qmp.execute("query-cpus-fast")
        return [cpu["thread-id"] for cpu in cpus]

    def quit(self):
        """End QEMU with whatever state its guest is in."""
        self.qmp.execute("quit")
        self.await_end()

    def kill(self):
        """End QEMU as the host would when memory has run out."""
        self.host.check(f"kill -9 {self.pid}")
        self.await_end(status=128 + 9)

    def begin(self, command):
        """Give the guest a line of shell, and do not wait for it."""
        self._console.sendline(command)

    def await_end(self, status=0, forgive=None):
        """Wait for QEMU to end so; fail if the host still has anything of it.

        `forgive` is as in Host.judge().
        """
        self._ended = True
        self.host.until(f"test -s {self.directory}/status",
                        f"{self.name}: QEMU did not end")
        found = int(self.host.check(f"cat {self.directory}/status"))
        if found != status:
            raise self.failure(f"QEMU ended with status {found}")
        self.host.check(f"! ls -d {VMS}/$(cat {self.directory}/pid)-*")
        self._require_that_vcpus_ran()
        self.host.judge(forgive)

    def hand_over(self):
        """Return what the kernel of the guest, which has stopped, has said so far.

        It goes on in another QEMU, where a line may end that began here, so that
        nobody can judge one part without the other.
        """
        self._has_left = True
        return self._kernel_text()

    def take_over(self, said):
        """Go on from what hand_over() returned."""
        self._said_before = said

    def failure(self, message, kind=Failure):
        self.host.run(f"tail -n {SHOWN} {self._kernel_log} "
                      f"{self.directory}/output")
        return self.host.failure(f"{self.name}: {message}", kind)

    def _start(self):
        devices = port.devices(self.host)
        self._console = self._connect("console", self._transcript)
        monitor = self._connect("qmp", self.host.transcript(
            f"{self.name}.qmp"))
        self.qmp = qmp.Qmp(monitor, self.failure, self._look,
                           self.timeout_factor)
        # A QEMU that finds nobody at the other end takes that for the end.
        for what in "console", "qmp":
            device = devices[f"{self.name}.{what}"]
            self.host.until(
                f"grep -qx 'host_connected: 1' {port.state(device)}",
                f"{self.name}: the host did not see its {what} connected")
        # A guest that was running where it left would go on by itself.
        incoming = "-incoming defer -S" if self._incoming else ""
        self.host.check(
            f"{self._environment} guest-start {self.directory} {self.vcpus} "
            f"{self._mode_options()} -chardev pipe,id=console,path="
            f"{devices[f'{self.name}.console']} "
            f"-chardev pipe,id=qmp,path={devices[f'{self.name}.qmp']} "
            f"-qmp chardev:qmp {incoming} {self._options}")
        self.qmp.open()
        if not self._incoming:
            self.await_boot()

    def _mode_options(self):
        """What the guest does, and where its console and its log are."""
        return (f"agent -serial file:{self._kernel_log} "
                "-device virtio-serial-device "
                "-device virtconsole,chardev=console")

    def _connect(self, what, log):
        connection = self.host.connect(f"{self.name}.{what}")
        self._connections.append(connection)
        return port.terminal(connection, log)

    def _disconnect(self):
        for connection in self._connections:
            connection.close()

    def _finish(self):
        if not self._ended:
            self._console.send(self._poweroff)
            reason = self.qmp.event("SHUTDOWN")["reason"]
            if reason != "guest-shutdown":
                raise self.failure(f"The guest was ended by {reason}")
            self.await_end()
        self._judge_guest()

    def _judge_guest(self):
        complaint = not self._has_left and splats.find(self._kernel_text())
        if complaint:
            raise self.failure(splats.of_guest(complaint))

    def _kernel_text(self):
        return self._said_before + self.host.check(f"cat {self._kernel_log}")

    def _terminal(self):
        return self._console

    def _wait(self, pattern, seconds, what):
        left = seconds
        while True:
            try:
                return self._console.expect(pattern, min(left, INTERVAL))
            except pexpect.TIMEOUT:
                left -= INTERVAL
            self._look(what)
            if left <= 0:
                raise self.failure(what, TimedOut)

    def _require_that_vcpus_ran(self):
        error = splats.find_exit_error(
            self.host.check(f"cat {self.directory}/output") +
            self.host.kernel_text()[self._log_began:])
        if error:
            raise self.failure(f"A vCPU could not be run: {error}")

    def _look(self, what):
        """Fail if QEMU has ended, or cannot go on with its guest."""
        self._require_that_vcpus_ran()
        if self.host.run(f"test -s {self.directory}/status").status == 0:
            raise self.failure(f"{what}: QEMU has ended")


class FirmwareVm(Vm):
    """A guest that is nothing but firmware, with its prompt on a serial line.

    `boot` is what the firmware says while it starts, each time with the answer
    to it (or nothing): first what is said once in a boot, since the prompt of an
    earlier one may still be unread. `reset` and `poweroff` are its commands.
    """

    def __init__(self, host, options, boot, reset, poweroff):
        super().__init__(host, vcpus=1, options=options)
        self._boot = boot
        self._reset = f"{reset}\r"
        self._poweroff = f"{poweroff}\r"

    def await_boot(self):
        for said, answer in self._boot:
            self._wait(said, FIRMWARE_TIMEOUT * self.timeout_factor,
                       f"The firmware did not say `{said}`")
            self._console.send(answer)

    def _mode_options(self):
        return "firmware -serial chardev:console"

    def _judge_guest(self):
        """It has no kernel that could have complained."""
