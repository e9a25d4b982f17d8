# SPDX-License-Identifier: GPL-2.0
"""The page that says where each function of the C backend is: whether it names
them all, and nothing that does not exist."""

import re
from fnmatch import fnmatchcase
from pathlib import Path

from . import kernel, pins
from .errors import Failure
from .tree import Tree

PAGE = Path("Documentation/virt/kvm/riscv/parity.rst")
BACKEND = Path("arch/riscv/kvm")
# The page is about the newest series.
SERIES = next(iter(pins.KERNEL_SERIES))
# How a row begins, and the first of those that are about a C file.
ROW = re.compile(r"^   \* - ", re.M)
FILE = re.compile(r"^\*\*(\S+)\*\*")
NAME = re.compile(r"``([^`\s]+)``")
# A definition: it begins a line, and its parameters are not followed by `;`.
FUNCTION = re.compile(
    r"^(?:[a-z_]\w*[\s*]+)+(\w+)\([^;{}()]*(?:\([^;{}()]*\)[^;{}()]*)*\)\s*\{",
    re.M)


def functions(source: str) -> list[str]:
    """The names of the functions that a C file defines."""
    return FUNCTION.findall(source)


def rows(page: str) -> list[tuple[str, list[str], list[str]]]:
    """Of each row: the C file, patterns of its functions, and our files."""
    found, file = [], ""
    for row in ROW.split(page)[1:]:
        there, here = row.split("\n     - ")[:2]
        named = FILE.match(there)
        file = named.group(1) if named else file
        if file:
            found.append((file, NAME.findall(there), NAME.findall(here)))
    return found


def complaints(page: str, sources: dict[str, str],
               ours: set[str]) -> list[str]:
    """What the page lacks, and what it names that is not there."""
    table = rows(page)
    said = [f"{file}: the kernel has no such file"
            for file in sorted({file for file, *_ in table} - set(sources))]
    for file, source in sorted(sources.items()):
        patterns = [name for where, names, _ in table if where == file
                    for name in names]
        defined = functions(source)
        if file not in {where for where, *_ in table}:
            said.append(f"{file}: there is no row")
        said += [f"{file}: no row has {name}" for name in defined
                 if not any(fnmatchcase(name, one) for one in patterns)]
        said += [f"{file}: {one} stands for no function" for one in patterns
                 if not any(fnmatchcase(name, one) for name in defined)]
    return said + [f"{name}: the project has no such file"
                   for _, _, names in table for name in names
                   if name not in ours]


def check(tree: Tree) -> None:
    """Fail if the page and the sources differ."""
    if kernel.series_of(tree.version) != SERIES:
        return
    backend = tree.path / BACKEND
    laid = {Path(path) for path in tree.laid}
    sources = {path.name: path.read_text(encoding="utf-8")
               for path in sorted(backend.glob("*.[cS]"))
               if BACKEND / path.name not in laid}
    ours = {str(path.relative_to(BACKEND) if path.is_relative_to(BACKEND)
                else path) for path in laid}
    said = complaints((tree.path / PAGE).read_text(encoding="utf-8"), sources,
                      ours)
    if said:
        raise Failure(f"{PAGE} and the sources differ:\n"
                      + "\n".join(f"    {line}" for line in said),
                      "Give each function a row, in the section of its file.")
