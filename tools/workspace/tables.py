# SPDX-License-Identifier: GPL-2.0
"""The tables that the programs work from, which are TOML."""

import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from pathlib import Path

from .errors import Failure


def load(table: Path) -> dict:
    """Return the contents of a table, or say where it is not TOML."""
    try:
        return tomllib.loads(table.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise Failure(f"{table}: {error}") from error


def entries(found: Iterable[dict], kind: type,
            where: Callable[[int, dict], str]) -> Iterator:
    """Make each entry one of a dataclass, whose lists become tuples.

    Fails if a field is unknown or missing; `where` says which entry that is,
    by its number and contents.
    """
    known = {field.name for field in fields(kind)}
    for number, entry in enumerate(found, 1):
        unknown = set(entry) - known
        if unknown:
            raise Failure(f"{where(number, entry)}: unknown "
                          f"{', '.join(sorted(unknown))}.")
        try:
            yield kind(**{key: tuple(value) if isinstance(value, list) else value
                          for key, value in entry.items()})
        except TypeError as error:
            raise Failure(f"{where(number, entry)}: {error}.") from error
