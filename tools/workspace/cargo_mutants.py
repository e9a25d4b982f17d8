# SPDX-License-Identifier: GPL-2.0
"""cargo-mutants, and the crate of the backend's logic as it wants it.

It mutates what is below the package and what it finds by `mod` lines, and both
end at a #[path] that leads out of the package. So it gets a copy of the crate, in
which the same files are plain modules.
"""

import re
import shutil
from pathlib import Path

from . import pins, process
from .settings import LOGIC, REPOSITORY
from .steps import remove, say, whole

# Of lib.rs: the module, its folder, and the files that are modules of it.
PARTS = re.compile(r'^#\[path = "([^"]+)"\]\npub mod (\w+) \{\n(.*?)^\}', re.M | re.S)
MODULE = re.compile(r"^\s+pub mod (\w+);", re.M)


def prepare(cache: Path, log: Path) -> Path:
    """Install it if it is not there, and return the program."""
    root = cache / "cargo-mutants" / pins.CARGO_MUTANTS_VERSION
    if not root.is_dir():
        cargo = shutil.which("cargo")
        say("mutants", f"cargo-mutants {pins.CARGO_MUTANTS_VERSION} with {cargo}, "
                       "about 2 minutes")
        with whole(root) as partial:
            process.run([cargo, "install", "cargo-mutants", "--locked",
                         "--version", pins.CARGO_MUTANTS_VERSION, "--root",
                         partial], log, "cargo-mutants: cargo install",
                        "The crates registry must be reachable; try again later.")
    return root / "bin/cargo-mutants"


def lay_out(crate: Path) -> dict[str, Path]:
    """Write the copy; return {file of it: file in the repository}."""
    remove(crate)
    shutil.copytree(LOGIC / "tests", crate / "tests")
    shutil.copyfile(LOGIC / "Cargo.toml", crate / "Cargo.toml")
    text = (LOGIC / "src/lib.rs").read_text(encoding="utf-8")
    files = {}
    for folder, module, body in PARTS.findall(text):
        for name in MODULE.findall(body):
            source = (LOGIC / "src" / folder / f"{name}.rs").resolve()
            files[f"src/{module}/{name}.rs"] = source
            copy = crate / f"src/{module}/{name}.rs"
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)
    (crate / "src/lib.rs").write_text(
        re.sub(r"^#\[path = .*\n", "", text, flags=re.M), encoding="utf-8")
    assert all(path.is_relative_to(REPOSITORY) for path in files.values())
    return files
