# SPDX-License-Identifier: GPL-2.0
"""A pytest plugin: tests side by side, each host with its tests in a process.

Tests that share a host run one after another, as a group. Each group runs in a
process of its own, forked from the one that has collected the tests, so that it
has the artifacts and the tests already. What it says goes through a pipe to the
Report of the first process. The tests that judge the results of others run there
at the end.

Hosts that take long to make are made meanwhile, in a process of their own.
"""

import contextlib
import dataclasses
import io
import multiprocessing
import os
import signal
import time
import traceback
from multiprocessing import connection

import pytest

from workspace.errors import Failure

from . import host
from .report import REPORT, Report

FORK = multiprocessing.get_context("fork")
# How long a process may take to end its host, in seconds.
GRACE = 10
# How many tests of others take as long as one on a host that watches itself.
WATCHED_WEIGHT = 3


def groups(items):
    """Return the tests by what they share, in the order in which to begin.

    Those that share no host are short, most of them, and come first; the others
    by how long they may take, so that all processes end at about the same time.
    """
    found = {}
    for item in items:
        found.setdefault(_shared(item) or item.path, []).append(item)
    return sorted(found.values(), key=lambda group: (
        _shared(group[0]) is not None, -_weight(group)))


def _weight(group):
    params = _params(group[0])
    return len(group) * (WATCHED_WEIGHT if "watched_host" in params else 1)


def _shared(item):
    """Return what names the host that a test shares with others."""
    params = _params(item)
    return params.get("slot") or params.get("watched_host")


def _params(item):
    return item.callspec.params if hasattr(item, "callspec") else {}


def needs(group):
    """Return the names of hosts that may have to be made for a group.

    A file without a shared host that is named for one is about that one.
    """
    shared = _shared(group[0])
    if not shared:
        return {group[0].path.stem.removeprefix("test_")}
    return {shared} if isinstance(shared, str) else set(shared)


class Workers:
    """Runs the groups, up to `count` processes at a time.

    `later` is {name of a host: what makes it}, in the order in which they are made:
    each is a function that returns a context.
    """

    def __init__(self, report, count, later=None):
        self._report = report
        self._count = count
        self._later = dict(later or {})
        self._running = {}
        self._maker = None
        for name in self._later:
            report.artifacts.put(name)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session):
        if session.testsfailed or session.config.option.collectonly:
            # pytest itself knows what to do without running a test.
            return None
        judges = [item for item in session.items
                  if item.get_closest_marker("judges")]
        waiting = groups(item for item in session.items if item not in judges)
        wanted = set().union(*map(needs, waiting))
        self._later = {name: make for name, make in self._later.items()
                       if name in wanted}
        self._count = min(self._count, len(waiting) + bool(self._later))
        try:
            if self._later:
                maker = _Maker(self._later)
                self._begin(maker)
                self._maker = maker
            while waiting or self._running:
                self._fill(session, waiting)
                for channel in connection.wait(self._running):
                    self._hear(self._running[channel], session.config, waiting)
        finally:
            self._end()
        _run(judges)
        return True

    def _fill(self, session, waiting):
        """Begin with as many groups as may run, of those that can."""
        ready = [group for group in waiting
                 if not needs(group) & set(self._later)]
        for group in ready[:max(self._count - len(self._running), 0)]:
            waiting.remove(group)
            self._begin(_Worker(session, self._report, group, self._count))

    def _begin(self, child):
        child.start([other.channel for other in self._children()])
        self._running[child.channel] = child

    def _children(self):
        """Return all processes, that which only keeps what it has made as well."""
        return {*self._running.values(), *([self._maker] if self._maker else [])}

    def _hear(self, child, config, waiting):
        """Take one message of a process."""
        try:
            what, arguments = child.channel.recv()
        except (EOFError, OSError):
            what, arguments = "ended", ()
        if what == "logreport":
            config.hook.pytest_runtest_logreport(report=arguments[0])
        elif what == "finished":
            child.has_finished_one()
            self._report.add(*arguments)
        elif what == "broke":
            child.said, = arguments
        elif what == "show":
            print(*arguments, flush=True)
        elif what == "made":
            self._made(*arguments)
        elif what == "not_made":
            self._not_made((arguments[0],), arguments[1], waiting)
        elif what == "ended":
            self._ended(child, config, waiting)
        else:
            getattr(self._report, what)(*arguments)

    def _made(self, name, made):
        self._report.artifacts.put(name, made)
        self._done((name,))

    def _done(self, names):
        for name in names:
            del self._later[name]
        if not self._later:
            # It keeps what it has made, until its pipe is closed.
            self._running.pop(self._maker.channel, None)

    def _ended(self, child, config, waiting):
        del self._running[child.channel]
        child.end(GRACE)
        if child is self._maker:
            self._not_made(tuple(self._later), child.last_words(), waiting)
            return
        left = child.judged(config)
        if left:
            waiting.insert(0, left)

    def _not_made(self, names, why, waiting):
        """The tests on hosts that cannot be made fail as one."""
        self._report.fail(f"all tests on: {', '.join(names)}", why)
        waiting[:] = [group for group in waiting
                      if not needs(group) & set(names)]
        self._done(names)

    def _end(self):
        """End the processes that are still there, with their hosts."""
        for child in self._running.values():
            child.process.terminate()
        deadline = time.monotonic() + GRACE
        for child in self._children():
            child.end(max(deadline - time.monotonic(), 0))
        self._running.clear()


class _Child:
    """A process that was forked, as the first process knows it."""

    def __init__(self):
        # Its last words, if it could not go on.
        self.said = ""

    def start(self, others):
        """Fork. `others` are the pipes that it inherits and has no use for."""
        self.channel, channel = FORK.Pipe()
        self.process = FORK.Process(target=self._main, args=(
            channel, (self.channel, *others)))
        self.process.start()
        channel.close()

    def _main(self, channel, inherited):
        # The keys of a terminal are for the first process, which passes them on.
        os.setpgid(0, 0)
        for other in inherited:
            # A process must notice if the one at the other end of its pipe ends.
            other.close()
        try:
            self.work(channel)
        except (KeyboardInterrupt, ConnectionError):
            raise SystemExit(1) from None
        except Failure as failure:
            channel.send(("broke", (str(failure),)))
            raise SystemExit(1) from None
        except BaseException:
            channel.send(("broke", (traceback.format_exc(),)))
            raise SystemExit(1) from None
        finally:
            host.abandon_all()

    def work(self, channel):
        """What the process does."""
        raise NotImplementedError

    def last_words(self):
        """What is known of why it has ended."""
        status = self.process.exitcode
        how = f"by signal {-status}" if status < 0 else f"with status {status}"
        return self.said or f"Its process ended {how}."

    def end(self, seconds):
        """Wait until the process has ended, or end it; and all that it ran."""
        self.channel.close()
        self.process.join(seconds)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.join()


class _Worker(_Child):
    """The process of one group."""

    def __init__(self, session, report, items, count):
        super().__init__()
        self._session = session
        self._report = report
        self._items = items
        self._count = count
        # How many of the tests have ended, and when the last one did.
        self._finished = 0
        self._began = time.monotonic()

    def work(self, channel):
        relay = Relay(self._report, channel, self._count)
        plugins = self._session.config.pluginmanager
        plugins.unregister(self._report)
        plugins.register(relay)
        _run(self._items, relay.finished)

    def has_finished_one(self):
        """One more of its tests has ended."""
        self._finished += 1
        self._began = time.monotonic()

    def judged(self, config):
        """Return the tests that were left when the process ended, but for that
        which it ran then: this one fails.
        """
        left = self._items[self._finished:]
        if not left:
            return []
        crashed, *left = left
        config.hook.pytest_runtest_logreport(report=pytest.TestReport(
            crashed.nodeid, crashed.location, {}, "failed", self.last_words(),
            "call", duration=time.monotonic() - self._began))
        return left


class _Maker(_Child):
    """The process that makes hosts, and keeps their files until it is ended."""

    def __init__(self, later):
        super().__init__()
        self._later = later

    def work(self, channel):
        with contextlib.redirect_stdout(_Shown(channel)), \
                contextlib.ExitStack() as made:
            for name, make in self._later.items():
                try:
                    channel.send(("made", (name, made.enter_context(make()))))
                except Failure as failure:
                    # What has been made is still good, and so may the rest be.
                    channel.send(("not_made", (name, str(failure))))
            with contextlib.suppress(EOFError, ConnectionError):
                channel.recv()


class _Shown(io.TextIOBase):
    """The output of a process, which is shown by the first one, line by line."""

    def __init__(self, channel):
        self._channel = channel
        self._partial = ""

    def write(self, text):
        *lines, self._partial = (self._partial + text).split("\n")
        for line in lines:
            self._channel.send(("show", (line,)))
        return len(text)


def _run(items, finished=lambda: None):
    """Run tests in this process."""
    for item, following in zip(items, (*items[1:], None)):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        finished()


class Relay(Report):
    """The Report in the process of a worker: the first process hears it all."""

    def __init__(self, report, channel, count):
        # The others use the same CPUs.
        settings = dataclasses.replace(
            report.settings,
            timeout_factor=count * report.settings.timeout_factor)
        super().__init__(settings, report.artifacts)
        self._channel = channel

    def send(self, what, *arguments):
        """Tell the first process."""
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
