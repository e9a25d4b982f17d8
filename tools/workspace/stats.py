# SPDX-License-Identifier: GPL-2.0
"""What kvm.ko is made of, and how much of the backend may be unsafe."""

import os
import re
from pathlib import Path

from .errors import Failure
from .settings import REPOSITORY

BACKEND = "arch/riscv/kvm"
ABSTRACTIONS = ("rust/kernel/kvm.rs", "rust/kernel/kvm")
# Trace points are defined by C macros: this file has those and nothing else.
TRACE_POINTS = f"{BACKEND}/trace_points.o"
LEVEL = re.compile(r"^#!\[(deny|forbid|allow|warn)\(([^)]*\b)?unsafe_code\b",
                   re.M)
NOT_CODE = re.compile(
    r"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])'""", re.S)
UNSAFE_BLOCK = re.compile(r"\bunsafe\s*\{")


def sources():
    """The Rust files of the backend and of the abstractions under it."""
    files = sorted((REPOSITORY / BACKEND).rglob("*.rs"))
    for name in ABSTRACTIONS:
        path = REPOSITORY / name
        files += [path] if path.is_file() else sorted(path.rglob("*.rs"))
    return files


def denies_unsafe(path):
    """Whether a module, or one that it is in, denies unsafe code."""
    while path.is_file():
        code = without_comments(path.read_text(encoding="utf-8"))
        level = LEVEL.search(code)
        if level:
            return level.group(1) in ("deny", "forbid")
        path = path.parent.with_suffix(".rs")
    return False


def without_comments(text):
    """Rust code without comments and without what is in quotes."""
    return NOT_CODE.sub("", text)


def show(kernel):
    _show_unsafe()
    sources = linked_sources(kernel.objects)
    print(f"\nkvm.ko ({kernel.backend}) is linked from {len(sources)} "
          "objects:")
    for name, source in sources.items():
        print(f"    {name:44} {source.name}")
    wrong = upstream_c(sources)
    if wrong:
        raise Failure("C files of the backend are linked into kvm.ko:\n    "
                      + "\n    ".join(wrong),
                      "See arch/riscv/kvm/Makefile in the tree, and "
                      "insertions.toml.")
    print(f"No C file of {BACKEND} is linked, trace points apart.")


def _show_unsafe():
    total = denied = blocks = 0
    print(f"{'file':44} {'lines':>6}  {'unsafe':>6}  denies unsafe")
    for path in sources():
        code = without_comments(path.read_text(encoding="utf-8"))
        lines = sum(1 for line in code.splitlines() if line.strip())
        count = len(UNSAFE_BLOCK.findall(code))
        denies = denies_unsafe(path)
        total += lines
        blocks += count
        denied += lines if denies else 0
        print(f"{str(path.relative_to(REPOSITORY)):44} {lines:6}  {count:6}  "
              f"{'yes' if denies else 'no'}")
    share = 100 * denied / total if total else 0
    print(f"\nlines in modules that deny unsafe: {denied} of {total}, "
          f"{share:.1f} %\nunsafe blocks: {blocks}")


def linked_sources(objects):
    """{object: its source} of kvm.ko, as kbuild recorded them."""
    listed = objects / BACKEND / "kvm.mod"
    if not listed.is_file():
        raise Failure(f"{listed} is not there: kvm.ko was not linked.",
                      "Run `make run` first.")
    names = sorted(os.path.normpath(name)
                   for name in listed.read_text(encoding="utf-8").split())
    return {name: _source(objects / name) for name in names}


def upstream_c(sources):
    """The backend's objects that come from C, trace points apart."""
    return [name for name, source in sources.items()
            if name.startswith(f"{BACKEND}/") and source.suffix == ".c"
            and name != TRACE_POINTS]


def _source(path):
    """What an object was compiled from, by the command that made it."""
    command = path.with_name(f".{path.name}.cmd")
    if not command.is_file():
        raise Failure(f"{command} is not there, so that the source of {path} "
                      "is not known.", "Run `make clean` and try again.")
    text = command.read_text(encoding="utf-8")
    source = re.search(r"^source_\S+ := (\S+)$", text, re.M)
    if source:
        return Path(source.group(1))
    sources = re.findall(r"\S+\.(?:rs|c|S)(?=\s|$)", text.splitlines()[0])
    if not sources:
        raise Failure(f"{command} does not name a source.")
    return Path(sources[-1])
