# SPDX-License-Identifier: GPL-2.0
"""What DKMS does on the machine that the module is for, with its compilers.

    python3 -m workspace.dkms prepare|build HEADERS DIRECTORY

HEADERS is what DKMS calls kernel_source_dir. The source of that kernel is
looked for in /usr/src, unless /etc/default/kvm-riscv-rust names a tree or a
tarball by a line KERNEL_SRC=PATH.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

from . import cross_gcc, module_checks, module_sources
from .errors import Failure
from .kernel import series_of
from .module_sources import kernel_config
from .toolchain import RUSTC

SETTINGS = Path("/etc/default/kvm-riscv-rust")
# Where Debian's linux-source packages put what they have.
SOURCES = Path("/usr/src")


def source(release: str) -> Path:
    """The source of a kernel: what the administrator names, or Debian's."""
    if SETTINGS.is_file():
        named = re.search(r"^KERNEL_SRC=[\"']?([^\"'\n]+)",
                          SETTINGS.read_text(encoding="utf-8"), re.M)
        if named:
            return Path(named.group(1))
    series = series_of(release)
    tarball = SOURCES / f"linux-source-{series}.tar.xz"
    if not tarball.is_file():
        raise Failure(
            f"The source of Linux {release} is not there: {tarball}",
            f"Install linux-source-{series}, or name a tree or a tarball of "
            f"it in {SETTINGS}: KERNEL_SRC=PATH")
    return tarball


def prepare(headers: Path, directory: Path) -> None:
    """Make the module's sources."""
    module_checks.before(headers, kernel_config(headers))
    module_sources.prepare(
        headers, source(module_sources.kernel_release(headers)), directory,
        directory.with_name("prepare.log"))


def build(headers: Path, directory: Path) -> None:
    """Build the module and check it."""
    compiler = cross_gcc.find(kernel_config(headers), Path(), None, Path())
    subprocess.run(
        ["make", "-C", headers, f"M={directory}", f"-j{os.cpu_count()}",
         f"CC={compiler.name}", f"RUSTC={RUSTC}", f"HOSTRUSTC={RUSTC}",
         "BINDGEN=bindgen", "modules"], check=True)
    module_checks.after(headers, directory, directory / "kvm.ko",
                        compiler.directory)


def main() -> None:
    """What the script `dkms` calls."""
    verb, headers, directory = sys.argv[1:]
    try:
        {"prepare": prepare, "build": build}[verb](
            Path(headers).resolve(), Path(directory))
    except Failure as failure:
        sys.exit(str(failure))
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)


if __name__ == "__main__":
    main()
