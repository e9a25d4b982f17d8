# SPDX-License-Identifier: GPL-2.0
"""Mutants of the logic that needs no kernel, which cargo-mutants makes."""

import os
import re
import shutil
import time
from pathlib import Path

from workspace import cargo_mutants, mutants, packages, pins, process
from workspace.errors import Failure
from workspace.settings import BUILD, LOGS
from workspace.steps import digest, lock, remove, say

DIRECTORY = BUILD / "mutants/logic"
# For one test program, which takes a second or two.
TIMEOUT = 60
# What cargo-mutants exits with: all was noticed, something was not, or lasted
# too long.
STATUS = (0, 2, 3)
PLACE = re.compile(r"^(\S+?):\d+:\d+: ", re.M)


def run(settings):
    """Run them file by file, and print what is not noticed; return the exit
    status."""
    packages.prepare(settings.cache, LOGS / "packages.log")
    log = LOGS / "mutants-logic.log"
    process.new_log(log)
    with lock(DIRECTORY.parent / "logic.lock", "mutants"):
        program = cargo_mutants.prepare(settings.cache, log)
        crate = DIRECTORY / "crate"
        files = cargo_mutants.lay_out(crate)
        missed = [mutant for file in sorted(files)
                  for mutant in _of_file(settings, program, crate, file, log)]
    return judge(missed, mutants.read_logic())


def _of_file(settings, program, crate, file, log):
    """The mutants of a file that its tests do not notice."""
    name = Path(file).stem
    out = DIRECTORY / name
    tests = sorted([*crate.glob(f"tests/{name}.rs"),
                    *crate.glob(f"tests/{name}/**/*.rs")])
    timeout = TIMEOUT * settings.timeout_factor
    key = digest(pins.CARGO_MUTANTS_VERSION, crate / file,
                 crate / "Cargo.toml", *tests)
    done = out / "done"
    if not done.is_file() or done.read_text() != key:
        remove(out)
        out.mkdir(parents=True)
        status = process.run(
            [program, "mutants", "--no-shuffle", "--colors", "never",
             "--jobs", max(settings.jobs // 2, 1),
             "--timeout", f"{timeout:.0f}",
             "--output", out, "--file", file, "--", "--test", name],
            log, f"mutants of {file}", check=False, cwd=crate,
            env={**os.environ, "CARGO_NET_OFFLINE": "true"})
        if status not in STATUS:
            raise Failure(f"cargo-mutants failed with status {status}:\n"
                          f"{process.last_lines(log)}\nThe whole log: {log}")
        require_time(_read(out)["timeout"], timeout, file,
                     lambda: _seconds(crate, name, log))
        done.write_text(key)
    found = _read(out)
    say("mutants", f"{file}: " + ", ".join(
        f"{len(lines)} {what}" for what, lines in found.items()))
    return found["missed"]


def _read(out):
    """The mutants by what has become of them."""
    return {what: (out / f"mutants.out/{what}.txt").read_text(
        encoding="utf-8").splitlines()
        for what in ("caught", "timeout", "missed", "unviable")}


def _seconds(crate, name, log):
    """How long a test program takes now without a mutant; building it aside."""
    command = [shutil.which("cargo"), "test", "--offline", "--target-dir",
               DIRECTORY / "control", "--test", name]
    process.run([*command, "--no-run"], log, f"{name}: cargo test --no-run",
                cwd=crate)
    start = time.monotonic()
    process.run(command, log, f"{name}: cargo test", cwd=crate)
    return time.monotonic() - start


def require_time(timed_out, timeout, file, control):
    """Fail if the tests of a file run out of time without a mutant, too.

    A mutant that makes them run for ever is noticed; but on a busy machine, all
    of them take long.
    """
    if timed_out and control() > timeout:
        raise Failure(f"The tests of {file} take longer than {timeout:.0f} s "
                      "without a mutant.",
                      "Run them again on a machine that is less busy, or with "
                      "TIMEOUT_FACTOR=.")


def judge(missed, excused):
    """Print what is not as the list says."""
    names = [PLACE.sub(r"\1: ", line) for line in missed]
    wrong = [line for line, name in zip(missed, names)
             if not any(entry.covers(name) for entry in excused)]
    idle = [entry.mutants for entry in excused
            if not any(entry.covers(name) for name in names)]
    for line in wrong:
        print(f"    not noticed: {line}")
    for pattern in idle:
        print(f"    {mutants.TABLE.name} excuses what does not survive: {pattern}")
    print(f"logic: {len(missed) - len(wrong)} survive for a reason, "
          f"{len(wrong)} without one")
    return int(bool(wrong or idle))
