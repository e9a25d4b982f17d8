# SPDX-License-Identifier: GPL-2.0
"""A pytest plugin: tests side by side, each host with its tests in a process.

Tests that share a host run one after another, as a group. Each group runs in a
process of its own, forked from the one that has collected the tests, so that it
has the artifacts and the tests already. What it says goes through a pipe to the
Report of the first process. The tests that judge the results of others run there
at the end.
"""

import dataclasses
import multiprocessing
import os
import signal
import time
import traceback
from collections import deque
from multiprocessing import connection

import pytest

from . import host
from .report import REPORT, Report

FORK = multiprocessing.get_context("fork")
# How long a process may take to end its host, in seconds.
GRACE = 10


def groups(items):
    """Return the tests by what they share, in the order in which to begin.

    Those that share no host are short, most of them, and come first; the others
    by their number, so that all processes end at about the same time.
    """
    found = {}
    for item in items:
        found.setdefault(_shared(item) or item.path, []).append(item)
    return sorted(found.values(),
                  key=lambda group: (_shared(group[0]) is not None,
                                     -len(group)))


def _shared(item):
    """Return what names the host that a test shares with others."""
    params = item.callspec.params if hasattr(item, "callspec") else {}
    return params.get("slot") or params.get("watched_host")


class Workers:
    """Runs the groups, up to `count` of them at a time."""

    def __init__(self, report, count):
        self._report = report
        self._count = count
        self._running = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session):
        if session.testsfailed or session.config.option.collectonly:
            # pytest itself knows what to do without running a test.
            return None
        judges = [item for item in session.items
                  if item.get_closest_marker("judges")]
        waiting = deque(groups(item for item in session.items
                               if item not in judges))
        self._count = min(self._count, len(waiting))
        try:
            while waiting or self._running:
                while waiting and len(self._running) < self._count:
                    self._start(session, waiting.popleft())
                for channel in connection.wait(self._running):
                    left = self._hear(self._running[channel], session.config)
                    if left:
                        waiting.appendleft(left)
        finally:
            self._end()
        _run(judges)
        return True

    def _start(self, session, items):
        worker = _Worker(items)
        worker.start(session, self._report, tuple(self._running), self._count)
        self._running[worker.channel] = worker

    def _hear(self, worker, config):
        """Take one message; return the tests that are left if it is the last."""
        try:
            what, arguments = worker.channel.recv()
        except (EOFError, OSError):
            del self._running[worker.channel]
            return worker.ended(config)
        if what == "logreport":
            config.hook.pytest_runtest_logreport(report=arguments[0])
        elif what == "finished":
            worker.finished += 1
            worker.began = time.monotonic()
            self._report.add(*arguments)
        elif what == "broke":
            worker.said, = arguments
        else:
            getattr(self._report, what)(*arguments)
        return []

    def _end(self):
        """End the processes that are still there, with their hosts."""
        for worker in self._running.values():
            worker.process.terminate()
        deadline = time.monotonic() + GRACE
        for worker in self._running.values():
            worker.end(max(deadline - time.monotonic(), 0))
        self._running.clear()


class _Worker:
    """The process of one group, as the first process knows it."""

    def __init__(self, items):
        self._items = items
        # How many of the tests have ended, and when the last one did.
        self.finished = 0
        self.began = time.monotonic()
        self.said = ""

    def start(self, session, report, others, count):
        """Fork. `others` are the pipes from the processes that there are."""
        self.channel, channel = FORK.Pipe(duplex=False)
        self.process = FORK.Process(target=_work, args=(
            session, report, self._items, channel, (self.channel, *others),
            count))
        self.process.start()
        channel.close()

    def ended(self, config):
        """The process has ended: if too early, its test fails. Return the tests
        that are left then."""
        self.end(GRACE)
        left = self._items[self.finished:]
        if not left:
            return []
        crashed, *left = left
        status = self.process.exitcode
        how = f"by signal {-status}" if status < 0 else f"with status {status}"
        config.hook.pytest_runtest_logreport(report=pytest.TestReport(
            crashed.nodeid, crashed.location, {}, "failed",
            f"The process that ran this test ended {how}.\n{self.said}".strip(),
            "call", duration=time.monotonic() - self.began))
        return left

    def end(self, seconds):
        """Wait until the process has ended, or end it; and all that it ran."""
        self.process.join(seconds)
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.join()
        self.channel.close()


def _work(session, report, items, channel, others, count):
    """Run a group; what the process of a worker does."""
    # The keys of a terminal are for the first process, which passes them on.
    os.setpgid(0, 0)
    for other in others:
        # If the first process is killed, nobody reads this process's pipe.
        other.close()
    relay = Relay(report, channel, count)
    plugins = session.config.pluginmanager
    plugins.unregister(report)
    plugins.register(relay)
    try:
        _run(items, relay.finished)
    except (KeyboardInterrupt, BrokenPipeError):
        raise SystemExit(1) from None
    except BaseException:
        relay.send("broke", traceback.format_exc())
        raise SystemExit(1) from None
    finally:
        host.abandon_all()


def _run(items, finished=lambda: None):
    """Run tests in this process."""
    for item, following in zip(items, (*items[1:], None)):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        finished()


class Relay(Report):
    """The Report in the process of a worker: the first process hears it all."""

    def __init__(self, report, channel, count):
        # So many hosts share the CPUs of this machine.
        settings = dataclasses.replace(
            report.settings,
            timeout_factor=count * report.settings.timeout_factor)
        super().__init__(settings, report.artifacts)
        self._channel = channel

    def send(self, what, *arguments):
        self._channel.send((what, arguments))

    def finished(self):
        """A test has ended, with all that belongs to it."""
        self.send("finished", self.found)
        self.found.clear()

    def pytest_configure(self, config):
        config.stash[REPORT] = self

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report):
        self.send("logreport", report)

    def skip_part(self, name, reason):
        self.send("skip_part", name, reason)

    def note(self, text):
        self.send("note", text)
