# SPDX-License-Identifier: GPL-2.0
"""Verdicts of the C backend from an earlier run of the tests.

They follow from the kernel, the program and what judges it, none of which a
change of the Rust backend touches. A verdict is used again if all of these are
the same, and unless it is a failure. With FULL=1, all programs are run.
"""

import dataclasses
import functools
import json
from pathlib import Path

from workspace import qemu
from workspace.steps import digest, write_if_changed

from . import verdicts
from .verdicts import Verdict

TESTING = Path(__file__).parents[1]
JUDGES = (*sorted((TESTING / "harness").glob("*.py")),
          *sorted((TESTING / "tests").glob("*.toml")))


class KeptVerdicts:
    """Those of one host, in a file of the cache."""

    def __init__(self, report, backend, cpu, nacl, machine):
        settings = report.settings
        self._used = backend == "c" and not settings.full
        self._artifacts = report.artifacts
        self._host = (backend, machine, cpu, nacl)
        self._file = settings.cache / "verdicts" / \
            f"{'-'.join(filter(None, (backend, cpu, nacl)))}.json"
        self._found = _load(self._file) if self._used else {}

    def get(self, run) -> Verdict | None:
        """That of a run, if it has been found and nothing has changed."""
        kept = self._found.get(run.name)
        if not kept or kept["key"] != self._key(run):
            return None
        parts = {name: Verdict(*said) for name, said in kept["parts"].items()}
        return Verdict(kept["what"], kept["reason"], parts)

    def keep(self, run, verdict: Verdict) -> None:
        """Write it down for the next run of the tests."""
        if not self._used or verdict.what == verdicts.FAIL:
            return
        self._found[run.name] = {
            "key": self._key(run), "what": verdict.what,
            "reason": verdict.reason,
            "parts": {name: (part.what, part.reason)
                      for name, part in verdict.parts.items()}}
        self._file.parent.mkdir(parents=True, exist_ok=True)
        write_if_changed(self._file, json.dumps(self._found, indent=1).encode())

    def _key(self, run):
        return digest(self._base, dataclasses.astuple(run),
                      self._artifacts.programs[run.program])

    @functools.cached_property
    def _base(self):
        """What all programs on the host have in common."""
        backend, *_, nacl = self._host
        built = self._artifacts.backends[backend]
        firmware = (self._artifacts.firmware,) if nacl else ()
        return digest(built.kernel, built.module, self._artifacts.disk,
                      *firmware, self._host, qemu.of_machine(), *JUDGES)


def _load(file):
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
