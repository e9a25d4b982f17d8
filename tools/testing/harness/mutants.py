# SPDX-License-Identifier: GPL-2.0
"""Runs what has to notice each mutant, and says what did.

Each killer first runs without a mutant, to see that it passes and how long it
takes. If it takes much longer with a mutant, then either that mutant makes it
hang, or the machine has become busy; so it runs without the mutant once more.
"""

import contextlib
import dataclasses
import fnmatch
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from workspace import mutants, packages, selftests
from workspace.errors import Failure
from workspace.mutants import Mutant
from workspace.settings import BUILD, LOGS, REPOSITORY
from workspace.steps import digest, lock, say, write_if_changed
from workspace.workspace import Workspace, prepared

from . import killers, selftest_runs, splats, verdicts
from .agent import TimedOut
from .killers import GUEST, TEST

DIRECTORY = BUILD / "mutants"
TOOLS = REPOSITORY / "tools/testing"
# What a name of ONE= stands for, besides those of the list.
LOGIC = "logic"
HARTS = 2
# How long a program may take, in seconds and in the time that it takes without
# the mutant.
LEAST, MOST, TIMES = 20, 240, 6
KILLED, SURVIVED, BROKEN = "killed", "survived", "error"


@dataclass(frozen=True)
class Result:
    """What became of a mutant."""

    what: str
    # The killer, or the reason.
    by: str
    how: str
    seconds: float
    # Whether nothing more is known of the killer than that it ran out of time.
    hangs: bool = False


class Killed(Exception):
    """How a killer has noticed the mutant; whether by a time-out alone."""

    def __init__(self, how, hangs=False):
        super().__init__(how)
        self.hangs = hangs


class Inconclusive(Exception):
    """Why a killer says nothing."""


def run(settings):
    """Run all mutants, or those that ONE= names; return the exit status."""
    found = mutants.read()
    mutants.check(found)
    # The tests are looked up by pytest.
    packages.prepare(settings.cache, LOGS / "packages.log")
    killers.check(found, settings)
    chosen = [mutant for mutant in found
              if any(fnmatch.fnmatch(mutant.name, pattern)
                     for pattern in (settings.one or "*").split(","))]
    if not chosen and settings.one != LOGIC:
        raise Failure(f"No mutant is called {settings.one}.",
                      "The names are those of tools/testing/mutants/"
                      f"{mutants.TABLE.name}, and `{LOGIC}`.")
    status = 0
    if chosen:
        with prepared(settings, ["rust"], _upstream(chosen),
                      with_firmware=True,
                      with_tools=TEST.strip() in _killers(chosen)) as artifacts:
            with lock(DIRECTORY / "lock", "mutants"):
                status = _Runner(settings, artifacts).run(chosen)
    if settings.one in ("", LOGIC):
        from . import logic_mutants

        status = logic_mutants.run(settings) or status
    return status


def _killers(chosen):
    """What notices these mutants: names of programs, and of kinds of killers."""
    return {killer.split()[0] for mutant in chosen
            for killer in mutant.killed_by}


def _upstream(chosen):
    """The kernel's own programs among the killers."""
    names = _killers(chosen)
    if TEST.strip() in names:
        return selftest_runs.read().programs
    return tuple(name for name in selftest_runs.read().programs
                 if name in names)


class _Runner:
    def __init__(self, settings, artifacts):
        self._settings = settings
        self._artifacts = artifacts
        self._plain = artifacts.backends["rust"]
        self._workspace = Workspace(settings)
        self._results_file = DIRECTORY / "results.json"
        self._results = _load(self._results_file)
        with self._workspace.locked():
            builder = self._workspace.builder("rust")
            self._builder = mutants.Builder(
                builder.objects, builder.tree.path,
                builder.toolchain.environment,
                DIRECTORY / "build", LOGS / "mutants.log")
        if digest(builder.objects / mutants.BACKEND / "kvm.ko") != \
                digest(self._plain.module):
            raise Failure("The kernel has been built again meanwhile.",
                          "Run `make mutants` again.")
        # What is the same for all: the host, and what judges.
        self._base = digest(self._plain.kernel, artifacts.initramfs,
                            artifacts.disk, artifacts.firmware,
                            settings.machine,
                            *sorted((TOOLS / "harness").glob("*.py")),
                            *sorted((TOOLS / "tests").glob("*.py")))

    def run(self, chosen):
        """All mutants; a table at the end."""
        results = {}
        for number, mutant in enumerate(chosen, 1):
            try:
                result = self._of(mutant)
            except Failure as failure:
                result = Result(BROKEN, "", str(failure), 0)
            results[mutant] = result
            wrong = "" if _is_expected(mutant, result) else "  <-- "
            say("mutants", f"{number}/{len(chosen)} {mutant.name}: "
                f"{result.what}{f' by {result.by}' if result.by else ''}, "
                f"{result.seconds:.0f} s{wrong}")
        return show(results)

    def _of(self, mutant):
        start = time.monotonic()
        with self._workspace.locked():
            module = self._builder.module(mutant)
        key = digest(self._base, module, mutant.place, mutant.killed_by,
                     *self._programs(mutant))
        kept = self._results.get(mutant.name, {})
        if kept.get("key") == key:
            return Result(**kept["result"])
        # Of a program that fails anyway, nothing follows.
        times = {killer: self._control(mutant, killer)
                 for killer in mutant.killed_by}
        result = self._judge(mutant, dataclasses.replace(
            self._plain, module=module), times)
        result = confirmed(result, lambda: self._judge(
            without_mutant(mutant, result.by), self._plain, times))
        result = dataclasses.replace(result,
                                     seconds=time.monotonic() - start)
        if result.what != BROKEN:
            self._keep(mutant.name, key, dataclasses.asdict(result))
        return result

    def _keep(self, name, key, result):
        self._results[name] = {"key": key, "result": result}
        write_if_changed(self._results_file, (json.dumps(
            self._results, indent=1, sort_keys=True) + "\n").encode())

    def _programs(self, mutant):
        """The files of the killers."""
        for killer in mutant.killed_by:
            name = killer.split()[0]
            if name in self._artifacts.programs:
                yield self._artifacts.programs[name]

    def _control(self, mutant, killer):
        """How long a killer takes without any mutant, where it has to pass."""
        name = f"{mutant.place}: {killer}"
        key = digest(self._base, self._plain.module, name,
                     *self._programs(mutant))
        kept = self._results.get(name, {})
        if kept.get("key") == key:
            return kept["result"]
        result = self._judge(without_mutant(mutant, killer), self._plain,
                             {killer: MOST / TIMES})
        if result.what != SURVIVED:
            raise Failure(f"{killer} does not pass without a mutant: "
                          f"{result.how}")
        self._keep(name, key, result.seconds)
        return result.seconds

    def _judge(self, mutant, built, times):
        """Run the killers until one has noticed the mutant."""
        start = time.monotonic()

        def ended(what, killer, how, hangs=False):
            return Result(what, killer, how, time.monotonic() - start, hangs)

        killer = ""
        try:
            expressions = [killer for killer in mutant.killed_by
                           if killer.startswith(TEST)]
            for killer in expressions:
                self._select(killer.removeprefix(TEST), built)
            rest = [killer for killer in mutant.killed_by
                    if killer not in expressions]
            if rest or not expressions:
                host = self._host(mutant, built)
                host.start()
                try:
                    killer = "insmod"
                    self._in_host(host, f"insmod /payload/kvm.ko "
                                  f"{mutant.parameters}".strip(), LEAST)
                    for killer in rest:
                        self._try(host, killer, times[killer])
                    killer = "the end of the host"
                    _or_killed(host.unload_kvm)
                    _or_killed(host.finish)
                finally:
                    host.abandon()
        except Killed as killed:
            return ended(KILLED, killer, str(killed), killed.hangs)
        except Inconclusive as reason:
            return ended(BROKEN, killer, str(reason))
        return ended(SURVIVED, "", "nothing has noticed it")

    def _host(self, mutant, built):
        # The libraries that a host stands on may just have been installed.
        from .host import Files, Host, Machine
        from .slots import machine_of

        return Host(f"mutant-{mutant.name}",
                    Files.of(self._artifacts, built),
                    Machine(machine_of(mutant.machine, self._settings),
                            mutant.cpu, HARTS, nacl=mutant.nacl),
                    self._settings.timeout_factor)

    def _try(self, host, killer, seconds):
        """Let one killer look at the mutant that is loaded."""
        timeout = min(max(LEAST, TIMES * seconds), MOST)
        name, *cases = killer.split()
        if killer.startswith(GUEST):
            from . import guest

            _or_killed(lambda: guest.boot(
                host, int(cases[0]),
                timeout=timeout / host.timeout_factor))
            return
        ours = name in selftests.ours()
        arguments = " ".join(f"-t {case}" if ours else case
                             for case in cases)
        result = self._in_host(
            host, self._artifacts.command(name, arguments), timeout)
        verdict = verdicts.judge(result.status, result.output, ours=ours)
        if verdict.what == verdicts.FAIL:
            raise Killed(verdict.reason)
        if verdict.what == verdicts.SKIP:
            raise Inconclusive(f"it was skipped: {verdict.reason}")
        _or_killed(lambda: host.judge(
            splats.forgive_firmware
            if name == selftest_runs.NACL_MISUSE else None))

    @staticmethod
    def _in_host(host, command, seconds):
        """Run a command that has to end. `seconds` were measured on this
        machine, so TIMEOUT_FACTOR= does not count."""
        result = _or_killed(
            lambda: host.run(command, seconds / host.timeout_factor))
        if result.status and command.startswith("insmod"):
            raise Killed("the module cannot be loaded")
        return result

    def _select(self, expression, built):
        """Run tests of `make test` on the mutant."""
        import pytest

        from . import tests
        from .report import Report

        report = Report(dataclasses.replace(
            self._settings, tested_backends=("rust",)),
            dataclasses.replace(self._artifacts, backends={"rust": built}))
        with open(LOGS / "mutants-tests.log", "a", encoding="utf-8") as log, \
                contextlib.redirect_stdout(log):
            status = pytest.main(tests.arguments(expression, "-x"),
                                 plugins=[report])
        if status == pytest.ExitCode.INTERRUPTED:
            raise KeyboardInterrupt
        if status == pytest.ExitCode.TESTS_FAILED:
            raise Killed(report.failures[0], bool(report.timed_out))
        if status != pytest.ExitCode.OK or not report.counts["passed"]:
            raise Inconclusive(f"pytest ends with {status!r}")


def _or_killed(action):
    """Do what fails where a mutant is noticed."""
    try:
        return action()
    except Failure as failure:
        raise Killed(str(failure).partition("\n")[0],
                     isinstance(failure, TimedOut)) from failure


def without_mutant(mutant: Mutant, killer: str) -> Mutant:
    """The same host, and what has noticed the mutant there: one killer, or all
    of them if it was none of them."""
    return dataclasses.replace(
        mutant, name="none",
        killed_by=(killer,) if killer in mutant.killed_by
        else mutant.killed_by)


def confirmed(result: Result, control: Callable[[], Result]) -> Result:
    """A kill by a time-out alone, only if `control` is in time: what the same
    killer does now without the mutant."""
    if result.what != KILLED or not result.hangs:
        return result
    plain = control()
    if plain.what == SURVIVED:
        return result
    return dataclasses.replace(
        result, what=BROKEN,
        how=f"{result.how}; it does not pass without the mutant either: "
            f"{plain.how}")


def _load(path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}


def _is_expected(mutant: Mutant, result: Result) -> bool:
    return result.what == (SURVIVED if mutant.survives else KILLED)


def show(results):
    """Print the table, and what is wrong; return the exit status."""
    width = max(len(mutant.name) for mutant in results)
    print(f"\n{'mutant':{width}} {'s':>4}  noticed by")
    wrong = []
    for mutant, result in results.items():
        hangs = " (hangs)" if result.hangs else ""
        by = {KILLED: f"{result.by}{hangs}",
              SURVIVED: f"nothing: {mutant.survives or '?'}",
              BROKEN: "?"}[result.what]
        where = f" on {mutant.place}" if mutant.place != Mutant.cpu else ""
        print(f"{mutant.name:{width}} {result.seconds:4.0f}  {by}{where}")
        if not _is_expected(mutant, result):
            wrong.append(f"{mutant.name}: {result.what}: {result.by}: "
                         f"{result.how}\n    It is to be noticed: "
                         f"{mutant.why}")
    counts = [f"{sum(result.what == what for result in results.values())} "
              f"{what}" for what in (KILLED, SURVIVED, BROKEN)]
    print(f"\n{', '.join(counts)}")
    if wrong:
        print(f"\nNot as {mutants.TABLE.name} says:\n" + "\n".join(wrong))
    return int(bool(wrong))
