# SPDX-License-Identifier: GPL-2.0
"""The sources of kvm.ko as a module of its own, for a kernel built without Rust.

They are a part of the source of that very kernel, with the project laid over
it. This runs on the machine that the module is for, too, where DKMS calls it
(dkms.py): it needs nothing but Python.
"""

import re
import shutil
from pathlib import Path

from . import insertions, kernel, process, tree
from .errors import Failure
from .settings import REPOSITORY
from .steps import digest, remove, say, whole, write_if_changed

# What a package of headers does not have, and the module needs.
PARTS = (
    "Makefile",
    "arch/riscv/include/asm/kvm_host.h",
    "arch/riscv/kernel/asm-offsets.c",
    "arch/riscv/kvm/trace.h",
    "drivers/base/base.h",
    "rust",
    "virt/kvm",
)
# Of the project: the backend and the abstractions.
LAID = ("arch/riscv/include/", "arch/riscv/kvm/", "rust/")
# What stands at the top of the module's directory.
OWN = REPOSITORY / "tools/package/module"


def prepare(headers: Path, source: Path, directory: Path, log: Path) -> Path:
    """Make the sources in `directory`, or bring them up to date.

    `headers` is what the module will be built against, and `source` a tree, a
    tarball or Debian's package of the kernel's source.
    """
    directory = Path(directory)
    pristine = directory.with_name(f"{directory.name}.pristine")
    stamp = pristine / ".from"
    wanted = digest(str(source), str(source.stat().st_mtime_ns), *PARTS)
    if not stamp.is_file() or stamp.read_text() != wanted:
        with whole(pristine) as partial:
            partial.mkdir()
            _take(source, partial, log)
            (partial / ".from").write_text(wanted)
        remove(directory)
    version = kernel.version_of(pristine)
    refuse_other_version(headers, version)
    if not directory.is_dir():
        with whole(directory) as partial:
            shutil.copytree(pristine, partial, symlinks=True)
            for name in ("Makefile", ".from"):
                (partial / name).unlink()
    changed = _lay_over(pristine, directory, version)
    if changed:
        say("module", f"{changed} files laid over a part of Linux {version}")
    return directory


def _take(source, directory, log):
    """Copy or unpack the parts of the kernel's source."""
    if source.is_dir():
        process.run(["bash", "-c", 'cd "$1" && cp -r --parents "${@:3}" "$2"',
                     "copy", source, directory, *PARTS],
                    log, "module: copying parts of the kernel's source",
                    f"{source} must be the top of a whole kernel tree.")
        return
    kernel.unpack(source, directory, log, PARTS)


def kernel_release(headers: Path) -> str:
    """What `uname -r` says where the kernel of the headers runs."""
    return (headers / "include/config/kernel.release").read_text(
        encoding="utf-8").strip()


def kernel_config(headers: Path) -> str:
    """The configuration of the kernel of the headers."""
    return (headers / ".config").read_text(encoding="utf-8")


def refuse_other_version(headers: Path, version: str) -> None:
    """Fail unless the source is of the very kernel of the headers."""
    release = kernel_release(headers)
    if not re.match(re.escape(version) + r"(\D|$)", release):
        raise Failure(
            f"The headers are of Linux {release}, and the source is of "
            f"{version}.",
            "The module needs the source of exactly that kernel: install its "
            "linux-source package, or name a tree or a tarball of it with "
            "KERNEL_SRC= or KERNEL_TARBALL=.")


def _lay_over(pristine, directory, version):
    """Lay the project over the parts; return how many files changed."""
    series = kernel.series_of(version)
    wanted = {path: file.read_bytes()
              for path, file in tree.project_files(REPOSITORY, series).items()
              if path.startswith(LAID)}
    for path, entries in insertions.of_series(series).items():
        upstream = pristine / path
        if upstream.is_file():
            wanted[path] = insertions.apply(
                upstream.read_text(encoding="utf-8"), entries,
                version).encode()
    wanted |= {file.name: file.read_bytes() for file in OWN.iterdir()}
    manifest = tree.Manifest(directory.with_name(f"{directory.name}.json"))
    changed = 0
    for path in set(manifest.files) - set(wanted):
        remove(directory / path)
        changed += 1
    # Written first: a file of an interrupted run is then known to be ours.
    manifest.write({path: [] for path in wanted})
    for path, data in wanted.items():
        changed += write_if_changed(directory / path, data)
    return changed
