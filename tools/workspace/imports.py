# SPDX-License-Identifier: GPL-2.0
"""An import, in whichever language, and the circles that imports close."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Import:
    """A file names something that another file has."""

    file: str
    line: int
    # What it names, spelled from the top: `crate::mmu::tlb::Stale`.
    name: str
    # The file that has it.
    target: str


def circles(imports: Iterable[Import]) -> list[list[Import]]:
    """One circle, the shortest, of each set of files that has any."""
    edges = _edges(imports)
    reached = {file: _reached(edges, file) for file in edges}
    shown = []
    done: set[str] = set()
    for file in sorted(edges):
        if file in reached[file] and file not in done:
            together = {other for other in reached[file]
                        if file in reached.get(other, ())}
            done |= together
            shown.append(min((_circle(edges, one) for one in
                              sorted(together)), key=len))
    return shown


def members(imports: Iterable[Import], circle: list[Import]) -> set[str]:
    """All files that import each other in a circle with those of `circle`."""
    edges = _edges(imports)
    start = circle[0].file
    return {file for file in _reached(edges, start)
            if start in _reached(edges, file)}


def _edges(imports):
    """{file: {another file that it imports from: the first such import}}"""
    edges = {}
    for found in imports:
        if found.file != found.target:
            edges.setdefault(found.file, {}).setdefault(found.target, found)
    return edges


def _reached(edges, start):
    reached = set()
    waiting = [start]
    while waiting:
        for file in edges.get(waiting.pop(), ()):
            if file not in reached:
                reached.add(file)
                waiting.append(file)
    return reached


def _circle(edges, start):
    """The shortest way from a file back to it."""
    ways = [[]]
    seen = set()
    while ways:
        longer = []
        for way in ways:
            last = way[-1].target if way else start
            for target, found in sorted(edges.get(last, {}).items()):
                if target == start:
                    return [*way, found]
                if target not in seen:
                    seen.add(target)
                    longer.append([*way, found])
        ways = longer
    raise ValueError(f"{start} is in no circle")
