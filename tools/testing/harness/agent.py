# SPDX-License-Identifier: GPL-2.0
"""Commands for a machine that runs the function agent() of guest/agent."""

import time
from dataclasses import dataclass

from workspace.errors import Failure

READY = "@@ready@@\r*\n"
STATUS = r"@@status=(\d+)@@\r*\n"
COMMAND_TIMEOUT = 60
NOTHING = r"(?!)"


@dataclass(frozen=True)
class Result:
    """What a command printed, and how it ended."""

    status: int
    output: str
    seconds: float
    marked: float | None = None


class TimedOut(Failure):
    """What was waited for has not happened in time, which is all that is known.

    A busy machine may be the reason.
    """


class Agent:
    """A machine that runs one line of shell after the other.

    A subclass has the terminal and knows how to wait for what appears on it,
    where what is said goes, and what a failure should show.
    """

    timeout_factor: float

    def run(self, command, timeout=COMMAND_TIMEOUT, mark=None, fatal=None):
        """Run one line of shell; `mark` is a pattern whose time is wanted, and
        `fatal` one that ends the wait for the command, which goes on.
        """
        self._transcript.write(f"\n$ {command}\n")
        start = time.monotonic()
        marked = None
        text = ""
        terminal = self._terminal()
        terminal.sendline(command)
        # One that matches nothing stands for one that is not given.
        patterns = [STATUS, mark or NOTHING, fatal or NOTHING]
        while True:
            left = timeout * self.timeout_factor - (time.monotonic() - start)
            found = self._wait(patterns, max(left, 0.1),
                               f"`{command}` did not end within {timeout} s")
            text += terminal.before
            if found == 0:
                break
            if found == 2:
                raise self.failure(
                    f"`{command}` cannot go on: {terminal.after.strip()}")
            marked = marked or time.monotonic() - start
            text += terminal.after
        return Result(int(terminal.match.group(1)),
                      text.replace("\r", ""), time.monotonic() - start, marked)

    def check(self, command, timeout=COMMAND_TIMEOUT):
        """Run one line of shell that must succeed; return what it prints."""
        result = self.run(command, timeout)
        if result.status:
            raise self.failure(
                f"`{command}` exited with status {result.status}")
        return result.output

    def until(self, command, what, timeout=COMMAND_TIMEOUT):
        """Run one line of shell again and again until it succeeds."""
        self.until_is(lambda: not self.run(command, timeout).status, what,
                      timeout)

    def until_is(self, is_so, what, timeout=COMMAND_TIMEOUT):
        """Ask again and again until it is so."""
        deadline = time.monotonic() + timeout * self.timeout_factor
        while not is_so():
            if time.monotonic() > deadline:
                raise self.failure(f"{what} within {timeout} s", TimedOut)
            time.sleep(0.1)

    def failure(self, message, kind=Failure):
        raise NotImplementedError

    def _terminal(self):
        raise NotImplementedError

    def _wait(self, pattern, seconds, what):
        raise NotImplementedError
