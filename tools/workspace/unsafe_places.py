# SPDX-License-Identifier: GPL-2.0
"""Where `unsafe` may stand, by floors.toml, and where it does."""

import re
from dataclasses import dataclass
from pathlib import Path

from . import floors, rust_text, tables
from .settings import REPOSITORY

LEVEL = re.compile(r"#!\[\s*(deny|forbid|allow|warn)\s*\((?:[^)\]]*\b)?"
                   r"unsafe_code\b")
UNSAFE = re.compile(r"\bunsafe\b")
BLOCK = re.compile(r"\bunsafe\s*\{")


@dataclass(frozen=True)
class File:
    """A Rust file, by what counts here."""

    name: str
    lines: int
    blocks: int
    # The lines that have the keyword.
    uses: tuple
    denies: bool
    may: bool


def survey(repository: Path = REPOSITORY,
           table: Path = floors.TABLE) -> list[File]:
    """The project's Rust files that become part of the kernel."""
    rule = tables.load(table)["unsafe"]
    roots = [repository / name for name in rule["roots"]]
    places = [Path(place["path"]) for place in rule["place"]]
    found = []
    for source in rule["sources"]:
        for path in sorted((repository / source).rglob("*.rs")):
            code = rust_text.code(path.read_text(encoding="utf-8"))
            name = path.relative_to(repository)
            found.append(File(
                str(name),
                sum(1 for line in code.splitlines() if line.strip()),
                len(BLOCK.findall(code)),
                tuple(number for number, line
                      in enumerate(code.splitlines(), 1)
                      if UNSAFE.search(line)),
                _denies(path, roots),
                any(_covers(place, name) for place in places)))
    return found


def complaints(files: list[File]) -> list[str]:
    """Where `unsafe` stands, or could, and must not."""
    said = []
    for file in files:
        if file.may:
            continue
        said += [f"{file.name}:{line}: `unsafe` may not stand here"
                 for line in file.uses]
        if not file.denies:
            said.append(f"{file.name}:1: neither the file nor a module that "
                        "it is in denies unsafe code")
    return said


def table(files: list[File]) -> str:
    """How much of the code may be unsafe, file by file."""
    lines = [f"{'file':44} {'lines':>6}  {'unsafe':>6}  denies unsafe"]
    lines += [f"{file.name:44} {file.lines:6}  {file.blocks:6}  "
              f"{'yes' if file.denies else 'no'}" for file in files]
    total = sum(file.lines for file in files)
    denied = sum(file.lines for file in files if file.denies)
    share = 100 * denied / total if total else 0
    lines.append(f"\nlines in modules that deny unsafe: {denied} of {total}, "
                 f"{share:.1f} %\nunsafe blocks: "
                 f"{sum(file.blocks for file in files)}")
    return "\n".join(lines)


def _covers(place, name):
    """A folder covers the file `foo.rs` beside it, too."""
    return place == name or place in name.parents \
        or place.with_suffix(".rs") == name


def _denies(path, roots):
    """Whether a file, or else a module that it is in, denies unsafe code."""
    above = [root for root in roots if root.parent in path.parents]
    chain = [path]
    while (parent := chain[-1].parent.with_suffix(".rs")).is_file():
        chain.append(parent)
    for file in (*chain, *above):
        level = LEVEL.search(rust_text.code(
            file.read_text(encoding="utf-8")))
        if level:
            return level.group(1) in ("deny", "forbid")
    return False
