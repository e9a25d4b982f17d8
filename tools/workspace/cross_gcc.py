# SPDX-License-Identifier: GPL-2.0
"""The compiler of the series that a kernel was built by.

A machine of an older Debian has no such compiler. Then it is unpacked in the
cache with the libraries that it needs, and its programs are told where these
are: nothing on the machine changes.
"""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from . import apt, process
from .errors import Failure
from .steps import say, whole
from .toolchain import CROSS_COMPILE

TEXT = re.compile(r'^CONFIG_CC_VERSION_TEXT="\S*gcc\S* .*?(\d+)\.\d+\.\d+"$',
                  re.M)


@dataclass(frozen=True)
class Compiler:
    """Where the programs are, and what the one is called that compiles."""

    directory: Path
    name: str
    # Where it is unpacked, with its libraries, if it is not the machine's own.
    root: Path | None = None


def series_of(config: str) -> str:
    """Return the series of the gcc that the configuration names."""
    found = TEXT.search(config)
    if not found:
        raise Failure("The kernel was not built by gcc.",
                      "A kernel that was built by clang can have Rust itself: "
                      "build the backend in its tree, with `make series`.")
    return found.group(1)


def find(config: str, cache: Path, suite: str | None, log: Path) -> Compiler:
    """Return the machine's own compiler, or that of a suite of Debian."""
    series = series_of(config)
    name = f"{CROSS_COMPILE}gcc-{series}"
    own = shutil.which(name)
    if own:
        return Compiler(Path(own).parent, name)
    if not suite:
        raise Failure(f"{name} is not there, and the kernel was built by it.",
                      f"Install the package gcc-{series} (on a RISC-V "
                      f"machine) or gcc-{series}-riscv64-linux-gnu.")
    root = cache / "gcc" / f"{series}-{suite}"
    if not root.is_dir():
        package = f"gcc-{series}-{CROSS_COMPILE.rstrip('-')}"
        say("gcc", f"{package} of {suite}, about 80 MB")
        state = apt.suite_state(cache, suite, apt.architecture())
        state.update(log, f"gcc: lists of {suite}")
        files = state.download_closure([package, "pahole"], log,
                                       "gcc: downloading")
        with whole(root) as partial:
            for file in files:
                process.run(["dpkg-deb", "-x", file, partial], log,
                            "gcc: unpacking")
                file.unlink()
            relocate(partial / "usr", partial / "usr", root / "usr", log)
    return Compiler(root / "usr/bin", name, root)


def relocate(programs: Path, found: Path, final: Path, log: Path) -> None:
    """Let the programs below a directory use libraries of `final`.

    These are in `found` while `final` is being made.
    """
    libraries = next(found.glob("lib/*/libc.so.6")).parent
    loader = next(libraries.glob("ld-linux*.so.*")).relative_to(found)
    libraries = libraries.relative_to(found)
    for program in sorted(programs.rglob("*")):
        if not program.is_symlink() and _is_program(program):
            process.run(["patchelf", "--set-interpreter", final / loader,
                         "--force-rpath", "--set-rpath", final / libraries,
                         program], log, "gcc: relocating")


def _is_program(path):
    """Whether it is an ELF file that names an interpreter."""
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        if file.read(4) != b"\x7fELF":
            return False
    return bool(process.run_quietly(
        ["patchelf", "--print-interpreter", path]).strip())
