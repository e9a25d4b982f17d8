# SPDX-License-Identifier: GPL-2.0
"""Mutants of the logic that needs no kernel, which cargo-mutants makes."""

import os
import re
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
    key = digest(pins.CARGO_MUTANTS_VERSION, crate / file,
                 crate / "Cargo.toml", *tests)
    done = out / "done"
    if not done.is_file() or done.read_text() != key:
        remove(out)
        out.mkdir(parents=True)
        status = process.run(
            [program, "mutants", "--no-shuffle", "--colors", "never",
             "--jobs", max(settings.jobs // 2, 1),
             "--timeout", f"{TIMEOUT * settings.timeout_factor:.0f}",
             "--output", out, "--file", file, "--", "--test", name],
            log, f"mutants of {file}", check=False, cwd=crate,
            env={**os.environ, "CARGO_NET_OFFLINE": "true"})
        if status not in STATUS:
            raise Failure(f"cargo-mutants failed with status {status}:\n"
                          f"{process.last_lines(log)}\nThe whole log: {log}")
        done.write_text(key)
    found = {what: (out / f"mutants.out/{what}.txt").read_text(
        encoding="utf-8").splitlines()
        for what in ("caught", "timeout", "missed", "unviable")}
    say("mutants", f"{file}: " + ", ".join(
        f"{len(lines)} {what}" for what, lines in found.items()))
    return found["missed"]


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
