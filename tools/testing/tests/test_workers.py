# SPDX-License-Identifier: GPL-2.0
"""Tests in several processes: what they share, what is heard of them, how they end.

Each test here runs small tests of its own, in files of its own.
"""

import contextlib
import itertools
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from types import SimpleNamespace

import pytest

from harness import workers
from harness.report import Report
from workspace.errors import Failure
from workspace.settings import Settings
from workspace.workspace import Artifacts

# What each of those files begins with. A host is a name here, and booting it is to
# write down which process has it.
COMMON = """
    import os, pathlib, signal, subprocess, time
    import pytest
    from harness.report import Report
    from workspace.errors import Failure

    PLACE = pathlib.Path(__file__).parent

    @pytest.fixture(scope="session")
    def slot(request):
        log = PLACE / request.param
        log.write_text("boot ")
        yield request.param
        with log.open("a") as file:
            file.write("down")

    @pytest.fixture
    def report(request):
        return Report.of(request.config)

    def on(*hosts):
        return pytest.mark.parametrize("slot", hosts, indirect=True,
                                       scope="session")
"""
WAIT = 20
NUMBER = itertools.count()


def arguments(file):
    """For pytest: to run the tests of a file, whose name no other has."""
    return [str(file), "-s", "-p", "no:cacheprovider", "-c", os.devnull,
            "--rootdir", str(file.parent), "-W", "ignore"]


@pytest.fixture
def run_inner(tmp_path, capsys):
    """Run a file of tests by so many workers."""

    def run(text, count=2, settings=None, later=None):
        file = tmp_path / f"test_inner_{next(NUMBER)}.py"
        file.write_text(textwrap.dedent(COMMON) + textwrap.dedent(text))
        report = Report(settings or Settings.from_environment({}),
                        Artifacts(disk=None, initramfs=None))
        status = pytest.main(
            arguments(file),
            plugins=[report, workers.Workers(report, count, later)])
        shown = capsys.readouterr().out.splitlines()
        # Without the time.
        said = [line.partition("] ")[2] for line in shown]
        return SimpleNamespace(status=status, report=report, said=said,
                               all=shown, place=tmp_path)

    return run


def test_a_host_has_one_process_and_its_tests_their_order(run_inner):
    found = run_inner("""
        @on("a", "b")
        @pytest.mark.parametrize("number", range(3))
        def test_it(slot, number):
            with (PLACE / slot).open("a") as file:
                file.write(f"{number}:{os.getpid()} ")
            time.sleep(0.1)
    """)
    assert found.status == 0 and found.report.counts == {"passed": 6}
    pids = set()
    for host in "ab":
        boot, *tests, down = (found.place / host).read_text().split()
        assert (boot, down) == ("boot", "down")
        numbers, ran = zip(*(test.split(":") for test in tests))
        assert numbers == ("0", "1", "2") and len(set(ran)) == 1
        pids |= set(ran)
    assert len(pids) == 2 and str(os.getpid()) not in pids


@pytest.mark.parametrize("count, together", ((2, 2), (1, 1)))
def test_so_many_run_at_a_time(run_inner, count, together):
    found = run_inner("""
        @on("a", "b", "c", "d")
        def test_it(slot):
            mark = PLACE / f"{slot}.running"
            mark.touch()
            time.sleep(0.3)
            seen = len(list(PLACE.glob("*.running")))
            (PLACE / "seen").open("a").write(f"{seen} ")
            mark.unlink()
    """, count)
    assert found.status == 0
    seen = [int(number) for number in
            (found.place / "seen").read_text().split()]
    assert len(seen) == 4 and max(seen) == together


def test_the_order_of_groups():
    def item(name, **params):
        return SimpleNamespace(name=name, path="file",
                               callspec=SimpleNamespace(params=params))

    found = workers.groups([
        item("1", slot="a"), item("2", slot="b"), item("3", slot="b"),
        item("4", watched_host="debug"), item("5"), item("6", slot="b"),
        item("7", watched_host="debug")])
    assert [[test.name for test in group] for group in found] == [
        ["5"], ["4", "7"], ["2", "3", "6"], ["1"]]


def test_what_a_test_says_is_heard(run_inner):
    found = run_inner("""
        @on("a", "b")
        def test_it(slot, report):
            report.note(f"a word of {slot}")
            report.skip_part(f"{slot}-part", "no reason")
            if slot == "b":
                raise Failure("It failed:\\n    a line")

        def test_assertion():
            assert 1 == 2, "no sum"

        def test_skipped():
            pytest.skip("never")
    """)
    assert found.status == 1
    assert found.report.counts == {"passed": 1, "failed": 2, "skipped": 3}
    assert {"note  a word of a", "note  a word of b",
            "skip  a-part: no reason", "skip  b-part: no reason",
            "skip  test_skipped: never"} <= set(found.said)
    assert sorted(found.report.failures) == [
        "test_assertion: AssertionError: no sum",
        "test_it[b]: It failed: a line"]


def test_judges_come_last_and_know_what_was_found(run_inner):
    found = run_inner("""
        @pytest.mark.judges
        def test_judge(report):
            assert report.table("x") == {"key": {"a": 1, "b": 1}}
            (PLACE / "judge").write_text(str(os.getpid()))

        @on("a", "b")
        def test_it(slot, report):
            report.table("x").setdefault("key", {})[slot] = 1
            time.sleep(0.2)
    """)
    assert found.status == 0 and found.report.counts == {"passed": 3}
    assert "test_judge" in found.said[-1]
    assert (found.place / "judge").read_text() == str(os.getpid())


@pytest.mark.parametrize("how, said", (
    ("os.kill(os.getpid(), signal.SIGKILL)", "by signal 9"),
    ("os._exit(3)", "with status 3"),
))
def test_a_process_that_ends_fails_its_test_alone(run_inner, how, said):
    found = run_inner(f"""
        @on("a", "b")
        @pytest.mark.parametrize("number", range(3))
        def test_it(slot, report, number):
            report.table("x").setdefault(number, {{}})[slot] = True
            if (slot, number) == ("a", 1):
                {how}

        @pytest.mark.judges
        def test_judge(report):
            assert set(report.table("x")[0]) == {{"a", "b"}}
    """)
    assert found.status == 1
    assert found.report.counts == {"passed": 6, "failed": 1}
    failure, = found.report.failures
    assert re.fullmatch(
        rf"test_it\[(1-a|a-1)\]: Its process ended {said}\.", failure)


def test_an_error_of_pytest_itself_is_shown(run_inner):
    found = run_inner("""
        @on("a")
        def test_it(slot, report):
            report.table("x")["key"] = {slot: lambda: None}

        @on("a")
        def test_next(slot):
            pass
    """)
    assert found.report.counts == {"passed": 2, "failed": 1}
    failure, = found.report.failures
    assert failure.startswith("test_it[a]: Traceback")
    assert any("pickle" in line for line in found.all)


def test_time_outs_are_longer_where_hosts_share_the_cpus(run_inner):
    text = """
        @on("a", "b")
        def test_it(slot, report):
            assert report.settings.timeout_factor == FACTOR
    """
    settings = Settings.from_environment({"TIMEOUT_FACTOR": "1.5"})
    for count, factor in (1, 1.5), (2, 3), (9, 3):
        assert run_inner(text.replace("FACTOR", str(factor)), count,
                   settings).status == 0


@contextlib.contextmanager
def made(place, said, seconds=0.5):
    """What makes a host, and says so; its file is there as long as it is kept."""
    print(said)
    time.sleep(seconds)
    file = place / "made"
    file.touch()
    try:
        yield file
    finally:
        file.unlink()


LATER = """
    @on("late", "a", "b", "c")
    def test_it(slot, report):
        file = report.artifacts.watched["late"]
        with (PLACE / "order").open("a") as order:
            order.write(f"{slot} ")
        # The others need not wait for it.
        assert slot != "a" or file is True
        assert slot != "late" or file.exists()
        time.sleep(0.3)
"""


@pytest.mark.parametrize("count", (1, 2))
def test_a_host_is_made_meanwhile(run_inner, tmp_path, count):
    text = LATER if count > 1 else LATER.replace(
        'assert slot != "a" or file is True', "assert file.exists()")
    found = run_inner(text, count, later={
        "late": lambda: made(tmp_path, "making it"),
        "unused": lambda: pytest.fail("nobody needs it")})
    assert found.status == 0 and found.report.counts == {"passed": 4}
    assert any("making it" in line for line in found.all)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("error, names, said", (
    (Failure("No such kernel.", "Try another."), ("late", "later"),
     "No such kernel."),
    (ZeroDivisionError("zero"), ("late, later",), "Traceback"),
))
def test_a_host_that_cannot_be_made_is_one_failure(run_inner, error, names,
                                                   said):
    def make():
        raise error

    found = run_inner(LATER.replace('"c")', '"c", "later")'), later={
        "late": make, "later": make})
    assert found.report.counts == {"passed": 3, "failed": len(names)}
    for name, failure in zip(names, found.report.failures):
        assert failure.startswith(f"all tests on: {name}: {said}")


def test_what_was_made_is_kept(run_inner, tmp_path):
    """Even if the next one cannot be made."""
    def make():
        raise Failure("No such kernel.")

    found = run_inner(LATER.replace('"c")', '"c", "later")'), later={
        "late": lambda: made(tmp_path, "making it"), "later": make})
    assert found.report.counts == {"passed": 4, "failed": 1}


@pytest.mark.parametrize("number", (signal.SIGINT, signal.SIGTERM))
@pytest.mark.parametrize("late", (False, True))
def test_an_interrupted_run_leaves_no_process(tmp_path, number, late):
    file = tmp_path / "test_inner.py"
    file.write_text(textwrap.dedent(COMMON) + textwrap.dedent("""
        @on("a", "b", "c")
        def test_it(slot):
            child = subprocess.Popen(["sleep", "600"])
            (PLACE / f"{slot}.pid.new").write_text(f"{os.getpid()} {child.pid}")
            (PLACE / f"{slot}.pid.new").rename(PLACE / f"{slot}.pid")
            time.sleep(600)
    """))
    main = textwrap.dedent(f"""
        import contextlib, os, pathlib, signal, sys, pytest
        from harness import workers
        from harness.report import Report
        from workspace import process
        from workspace.settings import Settings
        from workspace.workspace import Artifacts
        process.raise_on_signals()
        # A shell starts its background jobs with this one ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        report = Report(Settings.from_environment({{}}),
                        Artifacts(disk=None, initramfs=None))
        @contextlib.contextmanager
        def make():
            place = pathlib.Path({str(tmp_path)!r})
            try:
                yield "c"
            finally:
                (place / "removed").touch()
        later = {{"c": make}} if {late} else {{}}
        sys.exit(pytest.main(
            {arguments(file)},
            plugins=[report, workers.Workers(report, 2, later)]))
    """)
    with subprocess.Popen([sys.executable, "-c", main],
                          start_new_session=True) as first:
        places = [tmp_path / "a.pid", tmp_path / "b.pid"]
        deadline = time.monotonic() + WAIT
        while not all(place.exists() for place in places):
            assert time.monotonic() < deadline and first.poll() is None
            time.sleep(0.05)
        # As the keys of a terminal do, where the workers do not hear them.
        os.killpg(first.pid, number)
        assert first.wait(WAIT) == pytest.ExitCode.INTERRUPTED
    assert (tmp_path / "removed").exists() == late
    for place in places:
        for pid in place.read_text().split():
            assert not is_there(pid), f"process {pid} is left"


def is_there(pid):
    """Whether there is such a process that has not ended."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", pid], text=True,
                           check=False, stdout=subprocess.PIPE).stdout
    return bool(state.strip()) and not state.startswith("Z")
