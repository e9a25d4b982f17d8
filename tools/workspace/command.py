# SPDX-License-Identifier: GPL-2.0
"""How every command begins and ends: signals, failures, the exit status."""

import sys
from collections.abc import Callable
from typing import NoReturn

from . import process
from .errors import Failure
from .settings import Settings


def run(action: Callable) -> NoReturn:
    """Call `action`; exit with the status that it returns, or with the words
    of a failure."""
    process.raise_on_signals()
    try:
        sys.exit(action())
    except Failure as failure:
        sys.exit(f"\n{failure}")
    except KeyboardInterrupt:
        sys.exit("\nInterrupted; the next run goes on from here.")


def choose(program: str, verbs: dict[str, Callable]) -> NoReturn:
    """Do what the only argument of the program names."""
    name = sys.argv[1] if len(sys.argv) == 2 else ""
    if name not in verbs:
        sys.exit(f"usage: {program} {'|'.join(verbs)}")
    run(lambda: verbs[name](Settings.from_environment()))
