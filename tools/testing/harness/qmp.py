# SPDX-License-Identifier: GPL-2.0
"""QEMU's monitor protocol: one JSON object a line, events in between."""

import json
import time

import pexpect

from .agent import TimedOut

TIMEOUT = 60
MESSAGE = r"(\{[^\n]*\})\r*\n"
# How often a QEMU that says nothing is looked after.
INTERVAL = 10


class Qmp:
    """A session with one QEMU, from its greeting on.

    `failure` makes an exception of a message and its kind; `look` raises one if
    the QEMU has ended.
    """

    def __init__(self, terminal, failure, look, timeout_factor):
        self._terminal = terminal
        self._failure = failure
        self._look = look
        self._timeout_factor = timeout_factor
        self._events = []

    def open(self):
        """Await the greeting of a QEMU that has just been started."""
        deadline = self._deadline(TIMEOUT)
        while "QMP" not in self._message("greeting", deadline):
            pass
        self.execute("qmp_capabilities")

    def execute(self, command, arguments=None, timeout=TIMEOUT):
        """Run a command; return what it answers."""
        deadline = self._deadline(timeout)
        self._terminal.sendline(json.dumps(
            {"execute": command, "arguments": arguments or {}}))
        while True:
            message = self._message(f"answer to {command}", deadline)
            if "return" in message:
                return message["return"]
            if "error" in message:
                raise self._failure(
                    f"QMP {command}: {message['error']['desc']}")
            self._events.append(message)

    def event(self, name, timeout=TIMEOUT):
        """The next event of that name, which may have come already."""
        deadline = self._deadline(timeout)
        seen = 0
        while True:
            for number, event in enumerate(self._events[seen:], seen):
                if event["event"] == name:
                    del self._events[number]
                    return event.get("data", {})
            seen = len(self._events)
            self._events.append(self._message(f"event {name}", deadline))

    def _deadline(self, timeout):
        return time.monotonic() + timeout * self._timeout_factor

    def _message(self, what, deadline):
        while True:
            try:
                self._terminal.expect(MESSAGE, INTERVAL)
                return json.loads(self._terminal.match.group(1))
            except pexpect.TIMEOUT:
                self._look(f"QMP: no {what}")
            if time.monotonic() > deadline:
                raise self._failure(f"QMP: no {what} in time", TimedOut)
