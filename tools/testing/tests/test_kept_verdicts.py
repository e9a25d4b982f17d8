# SPDX-License-Identifier: GPL-2.0
"""Verdicts of the C backend are used again, as long as nothing has changed."""

from types import SimpleNamespace

import pytest

from harness import kept_verdicts, verdicts
from harness.kept_verdicts import KeptVerdicts
from harness.selftest_runs import Run
from harness.verdicts import Verdict

RUN = Run("program", "-x")
PASSED = Verdict(verdicts.PASS, "", {
    "one": Verdict(verdicts.PASS), "two": Verdict(verdicts.SKIP, "no reason")})


@pytest.fixture
def report(tmp_path, monkeypatch):
    """A report with files of its own, each of which has some contents."""
    monkeypatch.setattr(kept_verdicts.qemu, "of_machine", lambda: "10.0")
    files = {name: tmp_path / name
             for name in ("Image", "kvm.ko", "disk", "program")}
    for file in files.values():
        file.write_text("as it was")
    built = SimpleNamespace(kernel=files["Image"], module=files["kvm.ko"])
    yield SimpleNamespace(
        settings=SimpleNamespace(cache=tmp_path, full=False, machine="virt"),
        artifacts=SimpleNamespace(backends={"c": built, "rust": built},
                                  disk=files["disk"], firmware=None,
                                  programs={RUN.program: files["program"]}))


def kept(report, backend="c", cpu="rv64"):
    """As a new run of the tests has them."""
    return KeptVerdicts(report, backend, cpu, "", "virt")


def test_a_verdict_is_used_again(report):
    kept(report).keep(RUN, PASSED)
    assert kept(report).get(RUN) == PASSED


@pytest.mark.parametrize("name", ("Image", "kvm.ko", "disk", "program"))
def test_not_if_a_file_has_changed(report, tmp_path, name):
    kept(report).keep(RUN, PASSED)
    (tmp_path / name).write_text("another one")
    assert kept(report).get(RUN) is None


def test_not_for_another_host_or_run(report):
    kept(report).keep(RUN, PASSED)
    assert kept(report, cpu="max").get(RUN) is None
    assert kept(report).get(Run("program", "-y")) is None


def test_not_what_failed(report):
    kept(report).keep(RUN, Verdict(verdicts.FAIL, "a reason"))
    assert kept(report).get(RUN) is None


def test_not_under_rust_and_not_in_a_full_run(report):
    kept(report, "rust").keep(RUN, PASSED)
    assert kept(report, "rust").get(RUN) is None
    kept(report).keep(RUN, PASSED)
    report.settings.full = True
    assert kept(report).get(RUN) is None


def test_a_file_that_cannot_be_read_is_of_no_use(report, tmp_path):
    kept(report).keep(RUN, PASSED)
    (tmp_path / "verdicts/c-rv64.json").write_text("{")
    assert kept(report).get(RUN) is None
