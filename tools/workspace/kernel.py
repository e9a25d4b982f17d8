# SPDX-License-Identifier: GPL-2.0
"""Where the kernel's source comes from: Debian, a tarball or a tree."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from . import apt, pins, process
from .errors import Failure
from .steps import digest, say


@dataclass(frozen=True)
class Source:
    """One source of the kernel. `identity` changes when its files may have."""

    identity: str
    path: Path

    @property
    def is_tree(self):
        return self.path.is_dir()

    def unpack(self, directory, log):
        """Unpack a package or a tarball into `directory`."""
        unpack(self.path, directory, log)


def unpack(source, directory, log, parts=()):
    """Unpack a package or a tarball of the kernel's source: all, or some paths
    of the tree."""
    say("kernel", f"unpacking {'parts of ' if parts else ''}{source.name}")
    options = ('--strip-components=1 -C "$2" --anchored --wildcards '
               '--no-wildcards-match-slash "${@:3}"')
    if source.suffix == ".deb":
        # The package holds nothing else of use than the tarball.
        command = ('dpkg-deb --fsys-tarfile "$1" | '
                   "tar -xO --wildcards './usr/src/linux-source-*.tar.xz' | "
                   f"tar -xJ {options}")
    else:
        command = f'tar -xf "$1" {options}'
    process.run(["bash", "-o", "pipefail", "-c", command, "unpack", source,
                 directory, *(f"*/{part}" for part in parts)],
                log, "kernel: unpacking",
                f"If {source} is damaged, get it again.")


def find(settings, log):
    """The kernel's source that the settings ask for; downloaded if need be."""
    if settings.kernel_src:
        path = settings.kernel_src.resolve()
        return Source(f"tree-{digest(str(path))}", path)
    if settings.kernel_tarball:
        with open(settings.kernel_tarball, "rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        return Source(f"tarball-{content[:16]}", settings.kernel_tarball)
    package = _debian(settings.cache, settings.kernel_series, log)
    version = package.parent.name
    return Source(version, package)


def known_series(version):
    """The series that a version is of, if the backend is for it."""
    return next((series for series in pins.KERNEL_SERIES
                 if re.match(re.escape(series) + r"(\D|$)", version)), None)


def series_of(version):
    """The series that a version is of; fail if the backend is not for it."""
    series = known_series(version)
    if series:
        return series
    known = " and ".join(pins.KERNEL_SERIES)
    raise Failure(
        f"The kernel is {version}, and the backend is for {known}.",
        f"Point KERNEL_SRC= or KERNEL_TARBALL= at a kernel of {known}, or "
        "unset them.")


def version_of(tree):
    """The version that the tree's own Makefile states."""
    makefile = Path(tree) / "Makefile"
    if not makefile.is_file():
        raise Failure(f"{tree} is not a kernel tree: it has no Makefile.",
                      "Point KERNEL_SRC= at the top of a kernel tree, or "
                      "KERNEL_TARBALL= at a tarball of one.")
    text = makefile.read_text(encoding="utf-8", errors="replace")[:2000]
    fields = dict(re.findall(r"^(VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION)"
                             r" *= *(\S*)", text, re.M))
    if "VERSION" not in fields or "PATCHLEVEL" not in fields:
        raise Failure(f"{makefile} does not state a kernel version.",
                      "Point KERNEL_SRC= or KERNEL_TARBALL= at a kernel.")
    return (f"{fields['VERSION']}.{fields['PATCHLEVEL']}"
            f".{fields.get('SUBLEVEL', '0')}{fields.get('EXTRAVERSION', '')}")


def _debian(cache, series, log):
    """Debian's package of the source: an earlier download, or the newest."""
    name = f"linux-source-{series}"
    downloads = Path(cache) / "downloads" / name
    for package in sorted(downloads.glob("*/*.deb")):
        return package
    offers = {}
    for suite in pins.KERNEL_SERIES[series]:
        say("kernel", f"looking for {name} in {suite}")
        state = apt.suite_state(cache, suite)
        state.update(log, f"kernel: lists of {suite}")
        offers[suite] = state.versions(r"^linux-source-[0-9.]+$")
        version = offers[suite].get(name)
        if version:
            say("kernel", f"downloading {name} {version}, about 170 MB")
            return state.download(name, downloads / version, log,
                                  "kernel: download")
    raise Failure(
        f"Debian's archive does not offer {name} now. It offers:\n"
        + "\n".join(f"    {suite}: {_names(found)}"
                    for suite, found in offers.items()),
        f"Get a {series}.x tarball from kernel.org and run: "
        f"make run KERNEL_TARBALL=/path/to/linux-{series}.tar.xz\n"
        f"If the archive could not be reached: the log is {log}")


def _names(found):
    return " ".join(f"{name} ({version})"
                    for name, version in sorted(found.items())) or "nothing"
