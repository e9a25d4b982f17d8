# SPDX-License-Identifier: GPL-2.0
"""What kvm.ko is made of: rooms and imports, unsafe code, linked objects."""

import os
import re
from pathlib import Path

from . import floors, rules, unsafe_places
from .errors import Failure

BACKEND = "arch/riscv/kvm"
# Trace points, and parameters that can be changed at any time, are defined by
# macros of C: these files have those and nothing else.
MACROS = {f"{BACKEND}/trace_points.o", f"{BACKEND}/params.o"}


def show_source() -> None:
    """What the text of the sources shows; fail where it breaks a rule."""
    surveys = floors.surveys()
    for survey in surveys:
        print(f"{survey.drawing()}\n")
    files = unsafe_places.survey()
    print(unsafe_places.table(files), flush=True)
    rules.refuse(surveys, files)


def show_linked(kernel):
    """What kvm.ko is linked from; fail if that is C of the backend."""
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
    print(f"No C file of {BACKEND} is linked, but for trace points and "
          "parameters.")


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
    """The backend's objects that come from C, macros apart."""
    return [name for name, source in sources.items()
            if name.startswith(f"{BACKEND}/") and source.suffix == ".c"
            and name not in MACROS]


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
