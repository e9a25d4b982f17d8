# SPDX-License-Identifier: GPL-2.0
"""All tests: logic on this machine, then everything that needs a host."""

import contextlib
import dataclasses
import functools
import re
import shutil
import tempfile
import time
from dataclasses import dataclass, field

from workspace import build, kvm_ioctls, module, packages, pins, process
from workspace.errors import Failure
from workspace.settings import BUILD, LOGIC, LOGS, MODELS, REPOSITORY
from workspace.steps import lock, say
from workspace.workspace import (prepared, prepared_kvm_ioctls, prepared_stock,
                                 prepared_watched)

from . import selftest_runs

TESTS = REPOSITORY / "tools/testing/tests"
CARGO_SUMMARY = re.compile(
    r"^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored", re.M)
CARGO_FAILED = re.compile(r"^test (\S+)(?: - should panic)? \.\.\. FAILED$",
                          re.M)
# What a test says before the next one does.
CARGO_PANIC = re.compile(r"^---- (\S+) stdout ----\n(?:(?!---- ).*\n)*?"
                         r"thread .* panicked at .*:\n(.*)$", re.M)
CARGO_ERROR = re.compile(r"^error.*: .*$", re.M)

# What takes too long to make for a sample.
FULL_ALONE = ("kasan", kvm_ioctls.HOST)


@dataclass
class Tally:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    # A line for each that failed.
    failures: list[str] = field(default_factory=list)

    def __str__(self):
        failures = ["Failed:", *(f"  {line}" for line in self.failures)] \
            if self.failures else []
        return "\n".join([*failures, f"{self.passed} passed, {self.failed} "
                                     f"failed, {self.skipped} skipped"])

    @property
    def status(self):
        """A run that tested nothing is no success."""
        return 1 if self.failed or not self.passed else 0


def run(settings):
    """Run all tests; the tally comes last. Return the exit status."""
    tally = Tally()
    ours, others = _kernels(settings)
    later = {**_watched_hosts(ours), **_stock(others), **_kvm_ioctls(ours)}
    with prepared(ours, settings.tested_backends,
                  programs=selftest_runs.read().programs,
                  with_firmware=True,
                  extra_packages=pins.MODULE_PACKAGES
                  if module.STOCK in later else (),
                  with_tools=_is_wanted(ours, "perf")) as artifacts:
        if not settings.tests:
            logic(tally)
        _in_hosts(settings, artifacts, later, tally)
    print(f"\n{tally}")
    return tally.status


def _kernels(settings):
    """The settings for kernels of our own, and those for a distribution's.

    KERNEL= and the source given with it are about one of these.
    """
    default = dataclasses.replace(settings, kernel="", kernel_src=None,
                                  kernel_tarball=None)
    return (default, settings) if settings.for_module else (settings, default)


def _stock(settings):
    """{name of the host: what makes it}, for Debian's own kernel, if it is to be
    tested.
    """
    def make():
        # As in _in_hosts().
        from . import kernel_vectors

        return prepared_stock(settings, (kernel_vectors.MODULE,),
                              with_package=True, with_libvirt=settings.full)

    return {module.STOCK: make} if _is_wanted_for_rust(settings, module.STOCK) else {}


def _watched_hosts(settings):
    """{name of the host: what makes it}, for those that watch themselves."""
    return {name: functools.partial(prepared_watched, settings, name)
            for name in build.WATCHED if _is_wanted_for_rust(settings, name)}


def _kvm_ioctls(settings):
    """{name of the host: what makes it}, for the tests of that crate."""
    host = kvm_ioctls.HOST
    return {host: functools.partial(prepared_kvm_ioctls, settings)} \
        if _is_wanted(settings, host) else {}


def _is_wanted_for_rust(settings, host):
    """As _is_wanted(), for a host of that backend."""
    return "rust" in settings.tested_backends and _is_wanted(settings, host)


def _is_wanted(settings, host):
    """Whether tests use a host that takes long to make, and that most selections
    do without.
    """
    if settings.tests:
        return bool(re.search(rf"(?<!not )\b\w*{host}", settings.tests))
    return settings.full or host not in FULL_ALONE


def logic_alone(settings):
    packages.prepare(settings.cache, LOGS / "packages.log")
    tally = Tally()
    logic(tally)
    print(f"\n{tally}")
    return tally.status


def logic(tally):
    """Run the crates that test the backend's logic on this machine."""
    with lock(BUILD / "logic.lock", "logic"):
        # It needs no other crates.
        _cargo_test("logic", LOGIC, "--offline", tally)
        _cargo_test("models", MODELS, "--locked", tally)


def _cargo_test(name, source, option, tally):
    log = LOGS / f"{name}.log"
    say(name, "cargo test")
    start = time.monotonic()
    process.new_log(log)
    status = process.run(
        [shutil.which("cargo"), "test", option, "--no-fail-fast",
         "--target-dir", BUILD / name], log, f"{name}: cargo test", check=False,
        cwd=source)
    text = log.read_text(encoding="utf-8", errors="replace")
    passed, failed, ignored = count_logic(text, status)
    say(name, f"{passed} passed, {failed} failed, {ignored} ignored, "
              f"{time.monotonic() - start:.1f} s")
    if ignored:
        print("    skipped: tests that their source marks as ignored")
    if failed:
        print(f"{process.last_lines(log, 40)}\n    The whole log: {log}")
    tally.passed += passed
    tally.failed += failed
    tally.skipped += ignored
    if failed:
        tally.failures += logic_failures(name, text, status)


def count_logic(text, status):
    """(passed, failed, ignored) by the output of `cargo test`."""
    counted = [[int(number) for number in numbers]
               for numbers in CARGO_SUMMARY.findall(text)]
    passed, failed, ignored = (sum(column) for column in zip(*counted)) \
        if counted else (0, 0, 0)
    # A crate that does not build counts, a test that kills its runner, and a run
    # that tested nothing.
    return passed, failed or int(status != 0 or not passed), ignored


def logic_failures(crate, text, status):
    """A line for each test that failed, by the output of `cargo test`."""
    panics = dict(CARGO_PANIC.findall(text))
    lines = [f"{name}: {panics.get(name, 'it did not panic')}"
             for name in CARGO_FAILED.findall(text)]
    if not lines:
        error = CARGO_ERROR.search(text)
        lines = [error.group() if error
                 else f"cargo test exited with status {status}" if status
                 else "no test has passed"]
    return [f"{crate}: {line}" for line in lines]


def arguments(expression, *options):
    """For pytest: which tests to run; all, without an expression."""
    return [str(TESTS), "-s", "-p", "no:cacheprovider",
            "-c", str(TESTS / "pytest.ini"), "--rootdir", str(TESTS),
            *(["-k", expression] if expression else []), *options]


@contextlib.contextmanager
def _own_temporary_files():
    """Make them in a directory that is removed with all that a process which was
    killed has left there.
    """
    with tempfile.TemporaryDirectory(prefix="tests-") as directory:
        before, tempfile.tempdir = tempfile.tempdir, directory
        try:
            yield
        finally:
            tempfile.tempdir = before


def _in_hosts(settings, artifacts, later, tally):
    import pytest

    from .report import Report
    from .workers import Workers

    report = Report(settings, artifacts)
    with _own_temporary_files():
        status = pytest.main(arguments(settings.tests), plugins=[
            report, Workers(report, settings.workers, later)])
    report.print_failures()
    if status == pytest.ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    if status == pytest.ExitCode.NO_TESTS_COLLECTED and settings.tests:
        raise Failure(f"No test is selected by TESTS='{settings.tests}'.",
                      "It is an expression on the names that `make test` "
                      "prints, such as TESTS='rust-rv64 and mmio_test'.")
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise Failure(f"pytest could not run the tests (status {status}).")
    tally.passed += report.counts["passed"]
    tally.failed += report.counts["failed"]
    tally.skipped += report.counts["skipped"]
    tally.failures += report.failures
