# SPDX-License-Identifier: GPL-2.0
"""The tables that the programs work from, which are TOML."""

import tomllib
from pathlib import Path

from .errors import Failure


def load(table: Path) -> dict:
    """Return the contents of a table, or say where it is not TOML."""
    try:
        return tomllib.loads(table.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise Failure(f"{table}: {error}") from error
