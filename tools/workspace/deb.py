# SPDX-License-Identifier: GPL-2.0
"""The packages for Debian: the module's sources for DKMS, and the module built
for one kernel."""

import functools
import gzip
import os
import shutil
import time
from pathlib import Path

from . import process
from .settings import BUILD, LOGS, REPOSITORY
from .steps import remove, say

NAME = "kvm-riscv-rust"
OUTPUT = BUILD / "packages"
PACKAGING = REPOSITORY / "tools/package"
# What DKMS needs on the other machine: the backend, and what prepares it.
SHIPPED = ("arch", "rust", "tools/package/module", "tools/package/dkms",
           "tools/package/dkms.conf", "tools/workspace")
FIELDS = """\
Package: {name}
Source: {source} ({version})
Version: {version}
Architecture: riscv64
Maintainer: {maintainer}
Section: kernel
Priority: optional
Depends: linux-modules-{release} (= {kernel}) | linux-image-{release} (= {kernel})
Installed-Size: {size}
Description: KVM for RISC-V in Rust, for Linux {release}
 A backend of KVM for RISC-V machines with the H extension, written in Rust. It
 takes the place of the kernel's own kvm.ko, with the same interface to user
 space: QEMU and other virtual machine monitors run on it unchanged.
 .
 This package has the module for one kernel. Removing the package brings the
 kernel's own module back.
"""
DEPMOD = """\
#!/bin/sh
set -e
if test -d /lib/modules/{release}/kernel; then
\tdepmod {release}
fi
"""


@functools.cache
def last_commit() -> tuple:
    """Its time, and its name."""
    stamp, name = process.output(
        ["git", "-C", REPOSITORY, "log", "-1", "--format=%ct %h",
         "--abbrev=10"]).split()
    return time.gmtime(int(stamp)), name


def version() -> str:
    """The version of the packages: there has been no release, so the date of
    the last commit, and its name."""
    when, name = last_commit()
    return f"0~{time.strftime('%Y%m%d', when)}.{name}"


def maintainer() -> str:
    """Who makes the packages, in Debian's usual variables."""
    name = os.environ.get("DEBFULLNAME", "KVM RISC-V Rust developers")
    address = os.environ.get("DEBEMAIL", "kvm-riscv@lists.infradead.org")
    return f"{name} <{address}>"


def changelog() -> str:
    """What Debian's tools read the version from."""
    when = time.strftime("%a, %d %b %Y %T +0000", last_commit()[0])
    return (f"{NAME} ({version()}) unstable; urgency=medium\n\n"
            "  * Built from the project's sources.\n\n"
            f" -- {maintainer()}  {when}\n")


def make(target, module: Path) -> list:
    """Make both packages; return their files."""
    log = LOGS / "deb.log"
    process.new_log(log)
    remove(OUTPUT)
    OUTPUT.mkdir(parents=True)
    files = [_for_dkms(log)]
    if target.debian:
        say("deb", binary_name(target.debian))
        files.append(binary(target.debian, module, OUTPUT, log))
    _lint(files, log)
    return files


def _for_dkms(log):
    say("deb", f"{NAME}-dkms")
    source = OUTPUT / "source"
    for path in SHIPPED:
        place = REPOSITORY / path
        if place.is_dir():
            shutil.copytree(place, source / path,
                            ignore=shutil.ignore_patterns("__pycache__"))
        else:
            (source / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(place, source / path)
    shutil.copytree(PACKAGING / "debian", source / "debian")
    control = source / "debian/control"
    control.write_text(control.read_text(encoding="utf-8").replace(
        "@MAINTAINER@", maintainer()))
    (source / "debian/changelog").write_text(changelog())
    process.run(["dpkg-buildpackage", "-us", "-uc", "-b"], log,
                f"deb: {NAME}-dkms", cwd=source,
                env={**os.environ, "VERSION": version()})
    remove(source)
    return next(OUTPUT.glob("*-dkms_*.deb"))


def binary_name(kernel) -> str:
    """The name of the package with the module for one kernel."""
    return f"{NAME}-{kernel.release}"


def binary(kernel, module: Path, directory: Path, log: Path) -> Path:
    """Make the package with the module for one kernel."""
    name = binary_name(kernel)
    root = directory / "root"
    place = root / f"usr/lib/modules/{kernel.release}/updates/kvm.ko"
    place.parent.mkdir(parents=True)
    shutil.copy(module, place)
    documents = root / f"usr/share/doc/{name}"
    documents.mkdir(parents=True)
    shutil.copy(PACKAGING / "debian/copyright", documents)
    # Without the time of now in it, the same sources give the same file.
    (documents / "changelog.gz").write_bytes(
        gzip.compress(changelog().encode(), mtime=0))
    control = root / "DEBIAN"
    control.mkdir()
    (control / "control").write_text(FIELDS.format(
        name=name, source=NAME, version=version(), maintainer=maintainer(),
        release=kernel.release, kernel=kernel.version,
        size=place.stat().st_size // 1024 + 1))
    for script in ("postinst", "postrm"):
        path = control / script
        path.write_text(DEPMOD.format(release=kernel.release))
        path.chmod(0o755)
    file = directory / f"{name}_{version()}_riscv64.deb"
    process.run(["dpkg-deb", "--root-owner-group", "--build", root, file], log,
                f"deb: {name}")
    remove(root)
    return file


def _lint(files, log):
    say("deb", "lintian")
    process.run(["lintian", "--fail-on=error,warning", "--allow-root",
                 "--tag-display-limit=0", *files], log, "deb: lintian")
