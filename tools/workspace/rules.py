# SPDX-License-Identifier: GPL-2.0
"""The rules of the house that the text alone can break: where imports go,
where `unsafe` stands, how wide a line is. They need no kernel."""

import re
from collections.abc import Sequence
from pathlib import Path

from . import floors, unsafe_places
from .errors import Failure
from .settings import REPOSITORY
from .steps import say

WIDTH = 100
TAB = 8
SUFFIXES = (".rs", ".c", ".h", ".S", ".rst", ".md")
FOLDERS = ("Documentation", "arch", "rust", "tools")
# A line that cannot be wrapped: the row or the rule of a table, columns of code.
ROW = re.compile(r"\s*[|=]|.*\S {2,}\S")
PAGES = (".rst", ".md")
# What cargo leaves in a folder of sources.
BUILT = "target"
UNSAFE_ADVICE = ("Put it behind a safe function in one of the places that "
                 f"{floors.TABLE.name} lists.")


def too_wide(repository: Path = REPOSITORY) -> list[str]:
    """The lines that are too wide, as file:line; of a page, those of text."""
    return [f"{path.relative_to(repository)}:{number}: "
            f"{len(line.expandtabs(TAB))} columns"
            for path in _sources(repository)
            for number, line in enumerate(
                path.read_text(encoding="utf-8").splitlines(), 1)
            if len(line.expandtabs(TAB)) > WIDTH
            and not (path.suffix in PAGES and ROW.match(line))]


def refuse(surveys: list[floors.Survey], files: list[unsafe_places.File],
           wide: Sequence[str] = ()) -> None:
    """Fail, with all that breaks a rule, if anything does."""
    parts = (
        ("Imports do not run down:",
         [line for survey in surveys for line in survey.complaints()],
         floors.ADVICE),
        ("Unsafe code may be where it must not:",
         unsafe_places.complaints(files), UNSAFE_ADVICE),
        (f"Lines are wider than {WIDTH} columns:", wide, "Wrap them."),
    )
    said = ["\n".join((what, *(f"    {line}" for line in lines), advice))
            for what, lines, advice in parts if lines]
    if said:
        raise Failure("\n\n".join(said))


def check() -> None:
    """Fail if a rule is broken."""
    say("lint", "imports, unsafe code, width of lines")
    refuse(floors.surveys(), unsafe_places.survey(), too_wide())


def _sources(repository):
    found = [path for folder in FOLDERS
             for path in (repository / folder).rglob("*")]
    return sorted(path for path in (*repository.glob("*"), *found)
                  if path.suffix in SUFFIXES and path.is_file()
                  and BUILT not in path.relative_to(repository).parts)
