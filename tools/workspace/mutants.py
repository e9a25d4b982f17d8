# SPDX-License-Identifier: GPL-2.0
"""Mutants of the backend: the list of them, and kvm.ko with one of them.

A mutant is built by the commands that kbuild has recorded, with the outputs in
a directory of the caller's and the sources from a copy. Neither the tree nor
the objects of the kernel change.
"""

import fnmatch
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from . import process, tables
from .errors import Failure
from .settings import REPOSITORY
from .steps import digest, remove
from .toolchain import CROSS_COMPILE

TABLE = REPOSITORY / "tools/testing/mutants/mutants.toml"
BACKEND = "arch/riscv/kvm"
ABSTRACTIONS = "rust/kernel"
CRATE = "kvm_riscv.o"
# Where a command of kbuild names a file that it writes.
OUTPUT = re.compile(r"(--emit=[\w-]+=|-MMD,|-o |--out-dir )"
                    rf"(?:{BACKEND}|rust)/")


@dataclass(frozen=True)
class Mutant:
    """A change to one file by which the backend becomes wrong."""

    name: str
    file: str
    before: str
    after: str
    # What goes wrong.
    why: str
    # What notices it, in the order in which that is tried.
    killed_by: tuple = ()
    # The host on which it is noticed.
    cpu: str = "rv64"
    # A name of harness/slots.py.
    machine: str = ""
    nacl: str = ""
    parameters: str = ""
    # Why nothing can notice it, or nothing does.
    survives: str = ""

    @property
    def place(self):
        """The host, as a name."""
        return "-".join(filter(None, (self.cpu, self.machine, self.nacl,
                                      self.parameters)))

    def mutate(self, text: str) -> str:
        """The text of the file with the change."""
        found = text.count(self.before)
        if found != 1:
            raise Failure(f"The mutant {self.name} replaces what is {found} "
                          f"times in {self.file}, and not once:\n{self.before}",
                          f"Correct `before` in {TABLE.name}.")
        return text.replace(self.before, self.after)


def read(table: Path = TABLE) -> tuple[Mutant, ...]:
    """The list, each entry checked."""
    found = []
    for mutant in tables.entries(
            tables.load(table)["mutant"], Mutant, lambda number, entry:
            f"{table.name}, {entry.get('name', f'number {number}')}"):
        if not mutant.killed_by and not mutant.survives:
            raise Failure(f"{table.name}, {mutant.name}: neither what kills it "
                          "nor why it survives is said.")
        if any(mutant.name == other.name for other in found):
            raise Failure(f"{table.name}: {mutant.name} is there more than once.")
        found.append(mutant)
    return tuple(found)


@dataclass(frozen=True)
class LogicSurvivor:
    """Mutants of the logic that cargo-mutants makes, and no test notices."""

    # As cargo-mutants calls them, without line and column; as fnmatch has it.
    mutants: str
    why: str

    def covers(self, mutant: str) -> bool:
        return fnmatch.fnmatchcase(mutant, self.mutants)


def read_logic(table: Path = TABLE) -> tuple[LogicSurvivor, ...]:
    return tuple(tables.entries(
        tables.load(table).get("logic", []), LogicSurvivor,
        lambda number, _: f"{table.name}, logic {number}"))


def check(mutants, repository: Path = REPOSITORY) -> None:
    """Fail if an entry is not about the sources as they are."""
    for mutant in mutants:
        path = repository / mutant.file
        if not path.is_file():
            raise Failure(f"The mutant {mutant.name} is of {mutant.file}, "
                          "which is not there.")
        if mutant.mutate(path.read_text(encoding="utf-8")) == \
                path.read_text(encoding="utf-8"):
            raise Failure(f"The mutant {mutant.name} changes nothing.")


class Builder:
    """Makes kvm.ko from a kernel that has been built, with one mutant."""

    def __init__(self, objects: Path, tree: Path, environment: dict,
                 directory: Path, log: Path):
        self._objects = objects
        self._tree = tree
        # As kbuild sets it.
        self._environment = {**os.environ, **environment,
                             "RUSTC_BOOTSTRAP": "1"}
        self._directory = directory
        self._log = log
        self._sources = directory / "sources"
        self._out = directory / "out"
        self._module = objects / BACKEND / "kvm.ko"
        # What the unchanged module is, by the commands that make it again.
        self._unchanged = {}
        remove(directory)
        for name in (BACKEND, ABSTRACTIONS):
            shutil.copytree(tree / name, self._sources / name)
        self._made_from = digest(self._module)
        process.new_log(log)

    def module(self, mutant: Mutant) -> Path:
        """Build it; fail if it does not compile, or is the unchanged module.

        The caller holds the lock of the workspace.
        """
        if digest(self._module) != self._made_from:
            raise Failure("The kernel has been built again meanwhile, from "
                          "other sources.", "Run `make mutants` again.")
        source = self._sources / mutant.file
        text = source.read_text(encoding="utf-8")
        commands = Path(mutant.file).suffix, Path(mutant.file).parts[0]
        if commands not in self._unchanged:
            self._unchanged[commands] = self._contents(self._make(mutant))
        source.write_text(mutant.mutate(text), encoding="utf-8")
        try:
            module = self._make(mutant)
        finally:
            source.write_text(text, encoding="utf-8")
        if self._contents(module) == self._unchanged[commands]:
            raise Failure(
                f"The mutant {mutant.name} changes nothing in kvm.ko.",
                f"Of {mutant.file}, that place is not part of the module, or "
                "the compiler makes the same of it.")
        return module

    def _make(self, mutant):
        """The module from the sources as they are now."""
        remove(self._out)
        self._out.mkdir()
        return self._link(self._compile(mutant), mutant)

    def _contents(self, module):
        """What is loaded of a module, without its build id."""
        stripped = module.with_name("stripped.ko")
        process.run([f"{CROSS_COMPILE}objcopy", "--strip-debug",
                     "--remove-section=.note.gnu.build-id", module, stripped],
                    self._log, f"{module.name} without its build id")
        return digest(stripped)

    def _compile(self, mutant):
        """The object that is another one, relative to the backend."""
        name = mutant.file.removeprefix(f"{BACKEND}/")
        if name.endswith(".S"):
            changed = str(Path(name).with_suffix(".o"))
            (self._out / changed).parent.mkdir(exist_ok=True)
            self._run(f"{BACKEND}/{changed}", mutant)
            return changed
        metadata = ""
        if mutant.file.startswith(f"{ABSTRACTIONS}/"):
            # What is generic or inlined is compiled with the backend.
            self._run("rust/kernel.o", mutant, "--emit=obj=rust/kernel.o",
                      "-Zalways-encode-mir")
            metadata = f" --extern kernel={self._out}/libkernel.rmeta"
        self._run(f"{BACKEND}/{CRATE}", mutant, "-L ./rust/",
                  f"-L ./rust/{metadata}")
        return CRATE

    def _link(self, changed, mutant):
        listed = (self._objects / BACKEND / "kvm.mod").read_text(
            encoding="utf-8")
        (self._out / "kvm.mod").write_text(listed.replace(
            f"{BACKEND}/{changed}\n", f"{self._out}/{changed}\n"),
            encoding="utf-8")
        self._run(f"{BACKEND}/kvm.o", mutant, f"@{BACKEND}/kvm.mod",
                  f"@{self._out}/kvm.mod")
        self._run(f"{BACKEND}/kvm.ko", mutant, f" {BACKEND}/kvm.o",
                  f" {self._out}/kvm.o")
        return self._out / "kvm.ko"

    def _run(self, target, mutant, what="", instead=""):
        """Run the command that made `target`, with something replaced."""
        path = self._objects / target
        recorded = path.with_name(f".{path.name}.cmd").read_text(
            encoding="utf-8")
        command = re.search(r"^savedcmd_\S+ := (.*)$", recorded, re.M).group(1)
        if what not in command:
            raise Failure(f"The command that made {target} is another one than "
                          f"is known: it has no `{what}`.")
        command = OUTPUT.sub(rf"\g<1>{self._out}/",
                             command.replace(what, instead) if what
                             else command)
        for name in (BACKEND, ABSTRACTIONS):
            command = command.replace(f"{self._tree}/{name}/",
                                      f"{self._sources}/{name}/")
        process.run(["sh", "-c", command], self._log,
                    f"mutant {mutant.name}: {path.name}", cwd=self._objects,
                    env=self._environment)
