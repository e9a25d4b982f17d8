# SPDX-License-Identifier: GPL-2.0
"""The lines that upstream files need, inserted from one readable table."""

from collections import defaultdict
from pathlib import Path

from . import tables
from .errors import Failure

NAME = "insertions.toml"
TABLE = Path(__file__).with_name(NAME)
# What a series of the kernel needs that is not the newest.
KERNELS = Path(__file__).with_name("kernels")
FIELDS = {"why", "file", "after", "before", "text"}


def of_series(series):
    """{file: its entries} for a series of the kernel."""
    files = read()
    own = KERNELS / series / NAME
    if own.is_file():
        for file, entries in read(own).items():
            files[file] += entries
    return files


def read(table=TABLE):
    """{file: its entries}, each entry checked."""
    files = defaultdict(list)
    for number, entry in enumerate(tables.load(table).get("insert", []), 1):
        where = f"{table.parent.name}/{table.name}, entry {number}"
        unknown = set(entry) - FIELDS
        if unknown:
            raise Failure(f"{where}: unknown {', '.join(sorted(unknown))}.")
        if not entry.get("file") or not entry.get("text"):
            raise Failure(f"{where}: `file` and `text` must be given.")
        if ("after" in entry) == ("before" in entry):
            raise Failure(f"{where}: one of `after` and `before` is needed.")
        files[entry["file"]].append(entry)
    return files


def apply(text, entries, kernel_version):
    """`text`, a file as it is upstream, with the entries inserted."""
    lines = text.splitlines(keepends=True)
    bare = [line.rstrip("\n") for line in lines]
    after = defaultdict(str)
    before = defaultdict(str)
    for entry in entries:
        side = after if "after" in entry else before
        anchor = entry.get("after", entry.get("before"))
        found = [number for number, line in enumerate(bare) if line == anchor]
        if len(found) != 1:
            raise Failure(
                f"{entry['file']} of Linux {kernel_version} has the line\n"
                f"    {anchor}\n{len(found)} times instead of once, so that "
                "lines cannot be inserted there.",
                f"Give that entry of {TABLE.name} an anchor that this kernel "
                "has.")
        side[found[0]] += entry["text"]
    return "".join(before[number] + line + after[number]
                   for number, line in enumerate(lines))
