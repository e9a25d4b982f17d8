# SPDX-License-Identifier: GPL-2.0
"""What a run of the tests says at its end."""

from types import SimpleNamespace

import pytest

from harness import tests as harness_tests
from harness.agent import TimedOut
from harness.report import WIDTH, Report, reason_of
from workspace.errors import Failure


def report_of(tests):
    """What a run has reported by its end: {name: the failure, or nothing}."""
    results = Report(settings=None, artifacts=None)
    for name, said in tests.items():
        results.pytest_runtest_logreport(SimpleNamespace(
            user_properties=[],
            nodeid=f"test_x.py::{name}", when="call", skipped=False,
            failed=bool(said), duration=1.5, longrepr=said))
    return results


def test_a_failure_is_shown_again_at_the_end(capsys):
    results = report_of({"test_good": "", "test_bad": "first\nlast"})
    capsys.readouterr()
    results.print_failures()
    assert capsys.readouterr().out == (
        "\nFailures in full:\n  test_bad  1.5 s\n    first\n    last\n")


@pytest.mark.parametrize("kind, late", ((Failure, set()),
                                        (TimedOut, {"test_x.py::test_bad"})))
def test_a_test_that_only_ran_out_of_time_is_known(kind, late, capsys):
    results = report_of({})
    shown = SimpleNamespace(nodeid="test_x.py::test_bad", when="call",
                            skipped=False, failed=True, duration=1.5)
    hook = results.pytest_runtest_makereport(
        SimpleNamespace(stash=pytest.Stash()), SimpleNamespace(
            excinfo=SimpleNamespace(value=kind("It is late.")), when="call"))
    next(hook)
    with pytest.raises(StopIteration):
        hook.send(SimpleNamespace(get_result=lambda: shown))
    results.pytest_runtest_logreport(shown)
    # As below.
    capsys.readouterr()
    assert shown.longrepr == "It is late." and results.timed_out == late


def test_the_tally_names_what_failed(capsys):
    tally = harness_tests.Tally(1, 1, 0, report_of(
        {"test_good": "", "test_bad": "first\nlast"}).failures)
    # Else it would be in the log of the tests, as if it were theirs.
    capsys.readouterr()
    assert str(tally) == ("Failed:\n  test_bad: first\n"
                          "1 passed, 1 failed, 0 skipped")
    assert str(harness_tests.Tally(2)) == "2 passed, 0 failed, 0 skipped"


@pytest.mark.parametrize("said, shown", (
    ("\n  one\ntwo", "one"),
    ("The kernel complained:\n    BUG: here\n    there",
     "The kernel complained: BUG: here"),
    # Of a failed assertion, the traceback begins with its arguments.
    (SimpleNamespace(reprcrash=SimpleNamespace(
        message="AssertionError: no pages\nassert 1 == 2")),
     "AssertionError: no pages"),
    ("", "no reason is given"),
), ids=("text", "title", "assertion", "nothing"))
def test_the_reason_for_a_failure(said, shown):
    assert reason_of(said) == shown


def test_a_reason_is_short():
    assert len(reason_of("word " * 1000)) <= WIDTH


@pytest.mark.parametrize("said, shown", (
    ("test a ... ok\ntest b::c ... FAILED\ntest d ... FAILED\n\nfailures:\n\n"
     "---- b::c stdout ----\nit prints\n\n"
     "thread 'b::c' (7) panicked at tests/b.rs:1:2:\nleft is not right\n"
     "  left: 1\n\n---- d stdout ----\nError: 3\n",
     ["logic: b::c: left is not right", "logic: d: it did not panic"]),
    ("test a - should panic ... FAILED\n\nfailures:\n",
     ["logic: a: it did not panic"]),
    ("   Compiling x\nerror[E0425]: cannot find value `y`\n  --> a.rs\n",
     ["logic: error[E0425]: cannot find value `y`"]),
    ("", ["logic: cargo test exited with status 101"]),
), ids=("tests", "panic", "compiler", "nothing"))
def test_failures_of_the_logic_are_named(said, shown):
    assert harness_tests.logic_failures("logic", said, 101) == shown


RESULT = "test result: ok. {} passed; {} failed; {} ignored; 0 measured\n"


@pytest.mark.parametrize("said, status, counted", (
    (RESULT.format(3, 0, 1) + RESULT.format(4, 0, 0), 0, (7, 0, 1)),
    (RESULT.format(3, 2, 0), 101, (3, 2, 0)),
    (RESULT.format(3, 0, 0), 101, (3, 1, 0)),
    (RESULT.format(0, 0, 0), 0, (0, 1, 0)),
    (RESULT.format(0, 0, 5), 0, (0, 1, 5)),
    ("", 0, (0, 1, 0)),
), ids=("passed", "failed", "killed", "empty", "ignored", "nothing"))
def test_results_of_the_logic_are_counted(said, status, counted):
    assert harness_tests.count_logic(said, status) == counted


def test_logic_that_tests_nothing_is_named():
    assert harness_tests.logic_failures("models", "", 0) == ["models: no test has passed"]
