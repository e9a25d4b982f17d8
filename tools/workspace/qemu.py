# SPDX-License-Identifier: GPL-2.0
"""The QEMU that emulates the host, and the one in it that runs guests: each of
the series that pins.py names, and of no other."""

import re
from collections.abc import Iterable

from . import pins, process
from .errors import Failure

PROGRAM = "qemu-system-riscv64"
PACKAGE = re.compile(r"qemu-system-riscv_(?:\d+%3a)?(\d+(?:\.\d+)+)")


def of_machine() -> str:
    """Return the version that is installed on this machine."""
    line = process.output([PROGRAM, "--version"]).splitlines()[0]
    return require_host(line)


def require_host(line: str) -> str:
    """Return the version in the first line of `--version`, or refuse it."""
    found = re.search(r"version (\d+(?:\.\d+)+)", line)
    if not found or series(found.group(1)) != pins.HOST_QEMU:
        raise Failure(
            f"{PROGRAM} says `{line}`; the host is emulated by QEMU "
            f"{pins.HOST_QEMU}.",
            "Debian 12 has that series in bookworm-backports, and Debian 13 "
            "in trixie: install qemu-system-riscv from there. To use another "
            "series, change HOST_QEMU in tools/workspace/pins.py, and see "
            "whether `make test` passes.")
    return found.group(1)


def require_guests(files: Iterable[str], wanted: str) -> str:
    """Return the version of QEMU among the names of packages, or refuse it."""
    versions = [found.group(1) for found in map(PACKAGE.match, files) if found]
    if len(versions) != 1 or series(versions[0]) != wanted:
        suite = pins.GUEST_QEMU[wanted]
        found = f"QEMU {' and '.join(versions)}" if versions else "no QEMU"
        others = "".join(f"run with GUEST_QEMU={other}, or "
                         for other in pins.GUEST_QEMU if other != wanted)
        raise Failure(
            f"Debian's {suite} has {found}; guests are to run under {wanted}.",
            f"To go on, {others}change GUEST_QEMU in tools/workspace/pins.py "
            "to what Debian has, and see whether `make test` passes.")
    return versions[0]


def series(version: str) -> str:
    """Return the first two numbers of a version."""
    return ".".join(version.split(".")[:2])
