# SPDX-License-Identifier: GPL-2.0
"""The compilers that build the kernel, by the names that cannot be shadowed.

A rustup toolchain may stand first on the PATH. It lacks the library's source
that the kernel compiles, so that Debian's tools are called by their paths.
"""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from . import pins, process
from .errors import Failure
from .steps import say, whole

RUSTC = "/usr/bin/rustc"
CROSS_COMPILE = "riscv64-linux-gnu-"


@dataclass(frozen=True)
class Toolchain:
    llvm: str
    bindgen: Path
    versions: str

    @property
    def make_variables(self):
        return [
            f"LLVM={self.llvm}",
            "ARCH=riscv",
            f"RUSTC={RUSTC}",
            "RUSTDOC=/usr/bin/rustdoc",
            "RUSTFMT=/usr/bin/rustfmt",
            "CLIPPY_DRIVER=/usr/bin/clippy-driver",
            f"BINDGEN={self.bindgen}",
            # The same source gives the same binary, whoever builds it.
            "KBUILD_BUILD_TIMESTAMP=Thu Jan  1 00:00:00 UTC 1970",
            "KBUILD_BUILD_USER=kvm",
            "KBUILD_BUILD_HOST=riscv",
            "KBUILD_BUILD_VERSION=1",
        ]

    @property
    def environment(self):
        """What the build adds to the environment."""
        if self.llvm == "1":
            return {}
        return {"LIBCLANG_PATH": f"/usr/lib/llvm{self.llvm}/lib"}


def prepare(cache, release, log):
    llvm = release["llvm"]
    bindgen = _bindgen(cache, release, log)
    versions = [
        _checked("rustc", RUSTC, "-V"),
        _checked("clang", llvm_program("clang", llvm), "--version"),
        _checked("bindgen", bindgen, "--version"),
    ]
    versions.append(first_line(f"{CROSS_COMPILE}gcc", "--version"))
    return Toolchain(llvm, bindgen, "\n".join(versions))


def llvm_program(name, llvm):
    """A program of LLVM as this release names it; `llvm` is kbuild's LLVM=."""
    return name if llvm == "1" else f"{name}{llvm}"


def first_line(program, option):
    return process.output([program, option]).splitlines()[0]


def _bindgen(cache, release, log):
    if "bindgen" in release["packages"]:
        return Path("/usr/bin/bindgen")
    root = Path(cache) / "bindgen" / pins.BINDGEN_VERSION
    if not root.is_dir():
        cargo = shutil.which("cargo")
        say("bindgen", f"{pins.BINDGEN_VERSION} with {cargo}, about a minute")
        with whole(root) as partial:
            process.run(
                [cargo, "install", "bindgen-cli", "--locked",
                 "--version", pins.BINDGEN_VERSION, "--root", partial],
                log, "bindgen: cargo install",
                "The crates registry must be reachable; try again later, or "
                f"copy a bindgen {pins.BINDGEN_VERSION} to {root}/bin/.")
    return root / "bin/bindgen"


def _checked(name, program, option):
    line = first_line(program, option)
    found = re.search(r"\d+(\.\d+)+", line)
    version = tuple(map(int, found.group().split("."))) if found else ()
    minimum = pins.MINIMUM[name]
    if version < minimum:
        wanted = ".".join(str(part) for part in minimum)
        raise Failure(f"{program} says `{line}`; {name} must be {wanted} "
                      "or newer.",
                      "Update it from Debian's archive (on Debian 12: the "
                      "security and backports suites), then try again.")
    return line
