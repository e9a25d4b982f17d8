# SPDX-License-Identifier: GPL-2.0
"""The rule that the layout states: a file imports from its own room and from
floors below, never from above; the table of floors is floors.toml."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from . import imports, python_imports, rust_imports, tables
from .errors import Failure
from .imports import Import
from .settings import REPOSITORY

TABLE = Path(__file__).with_name("floors.toml")
ADVICE = ("The name is in the wrong file, or the caller should hand it in. "
          f"The floors are listed in {TABLE.name}.")
# How the drawing marks an arrow that must not be there.
UP, BESIDE = "^", "="


@dataclass(frozen=True)
class FromAbove:
    """A name that any file may import, though it is of the topmost room."""

    name: str
    why: str


@dataclass(frozen=True)
class House:
    """Files that import each other: a crate, or packages of Python."""

    name: str
    floors: tuple
    path: str = ""
    root: str = ""
    packages: tuple = ()
    from_above: tuple = ()

    @property
    def floor_of(self) -> dict[str, int]:
        """{room: its floor}; the ground is 1."""
        return {room: number for number, rooms in enumerate(self.floors, 1)
                for room in rooms}

    def files(self, repository: Path) -> dict[str, str]:
        """{file: its room}"""
        if self.root:
            top = repository / self.path
            return {str(path.relative_to(repository)):
                    path.relative_to(top).parts[0].removesuffix(".rs")
                    for path in top.rglob("*.rs")}
        found = {}
        # The deepest of the folders counts.
        for folder in sorted(self.packages, key=len):
            top = repository / folder
            for path in top.rglob("*.py"):
                found[str(path.relative_to(repository))] = \
                    path.relative_to(top).parts[0]
        return found

    def imports(self, repository: Path) -> list[Import]:
        """All imports between files of this house."""
        if self.root:
            return [Import(f"{self.path}/{found.file}", found.line, found.name,
                           f"{self.path}/{found.target}")
                    for found in rust_imports.read(repository / self.path,
                                                   self.root)]
        rooms = [f"{folder}/{room}" for folder in self.packages
                 for room in self.floor_of
                 if (repository / folder / room).is_dir()]
        return python_imports.read(repository, rooms)


class Survey:
    """What a house looks like, and where it does not keep to the rule."""

    def __init__(self, house: House, repository: Path):
        self.house = house
        self.files = house.files(repository)
        floors = house.floor_of
        allowed = {entry.name for entry in house.from_above}
        found = house.imports(repository)
        self.knot = [one for one in found if one.name in allowed]
        self.imports = [one for one in found if one.name not in allowed]
        self.nowhere = sorted(file for file, room in self.files.items()
                              if room not in floors)
        self.empty = sorted(set(floors) - set(self.files.values()))
        self.needless = sorted(allowed - {one.name for one in self.knot})
        self.wrong = [one for one in self.imports if self._mark(
            self.files[one.file], self.files[one.target])]
        self.circles = imports.circles(self.imports)

    def complaints(self) -> list[str]:
        """Each place that breaks the rule, as file:line where it has one."""
        floors = self.house.floor_of
        said = [f"{file}: is in no room of {TABLE.name}"
                for file in self.nowhere]
        said += [f"{TABLE.name}: there is no file of the room {room}"
                 for room in self.empty]
        said += [f"{TABLE.name}: nobody imports {name} from above"
                 for name in self.needless]
        for one in self.wrong:
            here, there = self.files[one.file], self.files[one.target]
            where = "from above" if floors[here] < floors[there] \
                else "from its own floor"
            said.append(f"{one.file}:{one.line}: {one.name} is imported "
                        f"{where}: {here} is on floor {floors[here]}, "
                        f"{there} on {floors[there]}")
        for circle in self.circles:
            count = len(imports.members(self.imports, circle))
            said.append(f"{count} files import each other in a circle; "
                        "the shortest:")
            said += [f"    {one.file}:{one.line}: {one.name}"
                     for one in circle]
        return said

    def drawing(self) -> str:
        """The rooms, topmost first, with what each imports from the others."""
        arrows: dict[str, Counter] = {}
        for one in self.imports:
            here, there = self.files[one.file], self.files[one.target]
            if here != there:
                arrows.setdefault(here, Counter())[there] += 1
        floors = self.house.floor_of
        sizes = Counter(self.files.values())
        width = max(map(len, floors))
        lines = [f"{self.house.name}: {len(floors)} rooms on "
                 f"{len(self.house.floors)} floors, {len(self.files)} files",
                 f"floor  {'room':<{width}}  files  imports from"]
        for room, floor in sorted(floors.items(),
                                  key=lambda item: (-item[1], item[0])):
            found = arrows.get(room, {})
            text = ", ".join(
                f"{self._mark(room, other)}{other} {found[other]}"
                for other in sorted(found, key=lambda other:
                                    (-floors.get(other, 0), other)))
            lines.append(f"{floor:5}  {room:<{width}}  {sizes[room]:5}  "
                         f"{text or '-'}")
        lines.append(f"{len(self.wrong)} imports from above ({UP}) or from a "
                     f"room of the same floor ({BESIDE}); "
                     f"{len(self.circles)} circles")
        lines += [f"from above, as agreed: {entry.name}, in "
                  f"{sum(one.name == entry.name for one in self.knot)} files: "
                  f"{entry.why}" for entry in self.house.from_above]
        return "\n".join(lines)

    def _mark(self, here, there):
        floors = self.house.floor_of
        if here == there or here not in floors or there not in floors \
                or floors[there] < floors[here]:
            return ""
        return UP if floors[there] > floors[here] else BESIDE


def read(table: Path = TABLE) -> list[House]:
    """The houses of the table, each entry checked."""
    houses = []
    for entry in tables.load(table).get("house", []):
        try:
            above = [FromAbove(**one) for one in entry.pop("from_above", [])]
            house = House(**entry, from_above=tuple(above))
        except TypeError as error:
            raise Failure(f"{table.name}: {error}") from error
        rooms = [room for floor in house.floors for room in floor]
        if len(set(rooms)) != len(rooms):
            raise Failure(f"{table.name}, {house.name}: a room stands there "
                          "twice.")
        houses.append(house)
    return houses


def surveys(repository: Path = REPOSITORY,
            table: Path = TABLE) -> list[Survey]:
    """One for each house."""
    return [Survey(house, repository) for house in read(table)]
