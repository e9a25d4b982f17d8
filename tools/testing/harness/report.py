# SPDX-License-Identifier: GPL-2.0
"""A pytest plugin: what to test with, and one line for each test."""

import textwrap
from collections import Counter

import pytest

from workspace.errors import Failure
from workspace.steps import say_line

from .agent import TimedOut

# A property of a test whose result was found by an earlier run.
EARLIER = "earlier"
# Of the configuration, the Report; of a test, {phase: pytest's report of it}.
REPORT = pytest.StashKey["Report"]()
PHASES = pytest.StashKey[dict]()
# The name of pytest's own reporter.
TERMINAL = "terminalreporter"
# Of the reason for a failure, where it has a line to itself.
WIDTH = 160


class _Silent:
    """In place of pytest's own reporter, which pytest 8 asks how to write an
    assertion that has failed.
    """

    def __init__(self, own):
        self._tw = own._tw


class Report:
    """Hands the artifacts to the tests, and prints and counts the results."""

    def __init__(self, settings, artifacts):
        self.settings = settings
        self.artifacts = artifacts
        self.counts = Counter()
        # {table: {key: {backend: what}}}: what tests have found for those that
        # judge it. Tests may be run in several processes.
        self.found = {}
        self._failures = []
        # The names of the tests that did no more than run out of time.
        self.timed_out = set()

    @staticmethod
    def of(config):
        """The one that pytest was started with."""
        return config.stash[REPORT]

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config):
        config.stash[REPORT] = self
        own = config.pluginmanager.unregister(name=TERMINAL)
        config.pluginmanager.register(_Silent(own), TERMINAL)

    @pytest.hookimpl
    def pytest_collection_finish(self, session):
        say_line(f"pytest: {len(session.items)} tests")

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item, call):
        """Show a failure's own words, where it has them, and no trace."""
        outcome = yield
        report = outcome.get_result()
        if call.excinfo and isinstance(call.excinfo.value, Failure):
            report.longrepr = str(call.excinfo.value)
            report.timed_out = isinstance(call.excinfo.value, TimedOut)
        item.stash.setdefault(PHASES, {})[call.when] = report

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report):
        name = report.nodeid.split("::", 1)[-1]
        if report.skipped:
            reason = report.longrepr[2].removeprefix("Skipped: ")
            self._count("skipped", f"skip  {name}: {reason}")
        elif report.failed:
            if getattr(report, "timed_out", False):
                self.timed_out.add(report.nodeid)
            where = "" if report.when == "call" else f" ({report.when})"
            self.fail(f"{name}{where}", report.longrepr,
                       f"  {report.duration:.1f} s")
        elif report.when == "call":
            when = "in an earlier run" if (EARLIER, True) in \
                report.user_properties else f"{report.duration:.1f} s"
            self._count("passed", f"pass  {name}  {when}")

    @pytest.hookimpl
    def pytest_collectreport(self, report):
        if report.failed:
            self.fail(f"{report.nodeid} (cannot be read)", report.longrepr)

    @pytest.hookimpl
    def pytest_internalerror(self, excrepr):
        self._indent(excrepr)

    def table(self, name):
        """Return {key: {backend: what}}, of what is called by that name."""
        return self.found.setdefault(name, {})

    def add(self, found):
        """Add what was found in another process."""
        for name, rows in found.items():
            for key, by_backend in rows.items():
                self.table(name).setdefault(key, {}).update(by_backend)

    def skip_part(self, name, reason):
        """Count a part of a test that could not run where the rest did."""
        self._count("skipped", f"skip  {name}: {reason}")

    def note(self, text):
        """Say what is known, and is no result."""
        say_line(f"note  {text}")

    def print_failures(self):
        """Say them again, where whoever sees the end of a long run finds them."""
        if self._failures:
            print("\nFailures in full:")
        for name, lasted, text in self._failures:
            print(f"  {name}{lasted}")
            self._indent(text)

    @property
    def failures(self):
        """A line for each failure: what failed, and why."""
        return [f"{name}: {reason_of(text)}" for name, _, text in self._failures]

    def fail(self, name, text, lasted=""):
        """Count a failure and show it."""
        self._failures.append((name, lasted, text))
        self._count("failed", f"FAIL  {name}{lasted}")
        self._indent(text)

    def _count(self, kind, line):
        self.counts[kind] += 1
        say_line(line)

    @staticmethod
    def _indent(text):
        for line in str(text).splitlines():
            print(f"    {line}", flush=True)


def reason_of(text):
    """The first line of what pytest, or a test, says of a failure."""
    crash = getattr(text, "reprcrash", None)
    lines = [line.strip() for line in
             (crash.message if crash else str(text)).splitlines()
             if line.strip()] or ["no reason is given"]
    # A title says nothing without what it announces.
    shown = lines[:2] if lines[0].endswith(":") else lines[:1]
    return textwrap.shorten(" ".join(shown), WIDTH, placeholder=" ...")
