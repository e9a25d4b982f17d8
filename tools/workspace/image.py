# SPDX-License-Identifier: GPL-2.0
"""The disk of the emulated host, and the initramfs of the guest inside it.

The host's user space is Debian's riscv64 QEMU and BusyBox, unpacked and not
installed. What changes from build to build (kernel, kvm.ko, test programs)
is on a second, small drive, made anew for every run.
"""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from . import apt, pins, process
from .errors import Failure
from .settings import REPOSITORY
from .steps import digest, remove, say, whole

SCRIPTS = REPOSITORY / "tools/testing/guest"
MOUNT_POINTS = ("dev", "etc", "payload", "proc", "run", "sys", "tmp")
# Scripts by where they go: in the host, and in the guest's initramfs.
HOST_SCRIPTS = {"host-init": "init", "agent": "agent",
                "guest": "usr/bin/guest", "guest-qemu": "usr/bin/guest-qemu",
                "guest-start": "usr/bin/guest-start"}
GUEST_SCRIPTS = {"guest-init": "init", "agent": "agent",
                 "guest-load": "bin/load"}
KEPT = ("usr/bin/busybox", "usr/bin/qemu-system-riscv64", "usr/lib")

WANTED = (pins.GUEST_SUITE, pins.QEMU_SERIES, pins.GUEST_ARCHITECTURE,
          pins.GUEST_PACKAGES, KEPT)
# What was unpacked, one package a line, by the names of their files.
VERSIONS = "versions"


@dataclass(frozen=True)
class HostDisk:
    image: Path
    initramfs: Path


def prepare(cache, log):
    """The host's disk and the guest's initramfs, made if need be."""
    unpacked = _unpacked(cache, log)
    scripts = [path for path in sorted(SCRIPTS.iterdir()) if path.is_file()]
    key = digest(unpacked.name, HOST_SCRIPTS, GUEST_SCRIPTS, *scripts)
    disk = Path(cache) / "image" / key
    if not disk.is_dir():
        say("image", "host disk and guest initramfs")
        for old in disk.parent.glob("*"):
            if old != unpacked:
                remove(old)
        with whole(disk) as partial:
            partial.mkdir()
            _host_disk(unpacked, partial, log)
            _guest_initramfs(unpacked, partial, log)
    return HostDisk(disk / "host.ext4", disk / "initramfs")


def drive(directory, image, log, slack_kib=2048):
    """An ext4 image that holds the files of a directory."""
    size = sum(path.lstat().st_size + 4096 for path in directory.rglob("*"))
    kib = size // 1024 * 21 // 20 + slack_kib
    process.run(["/usr/sbin/mke2fs", "-q", "-t", "ext4", "-m", "0", "-F",
                 "-O", "^has_journal", "-E", "root_owner=0:0",
                 "-d", directory, image, f"{kib}k"],
                log, f"image {image.name}")


def qemu_version(names):
    """The version of QEMU among the names of packages."""
    versions = [match.group(1) for name in names if (match := re.match(
        r"qemu-system-riscv_(?:\d+%3a)?(\d+(?:\.\d+)*)", name))]
    if len(versions) != 1:
        raise Failure("The packages of the host's user space have "
                      f"{len(versions)} versions of QEMU, not one.",
                      "Run `make distclean` and try again.")
    return versions[0]


def _unpacked(cache, log):
    """What is kept of Debian's packages; the name is what they are."""
    root = Path(cache) / "image" / f"debian-{digest(WANTED)}"
    if not root.is_dir():
        files = _downloaded(cache, log)
        check_series(qemu_version(file.name for file in files))
        with whole(root) as partial:
            everything = partial / "everything"
            everything.mkdir(parents=True)
            for file in files:
                process.run(["dpkg-deb", "-x", file, everything], log,
                            f"image: {file.name}")
            for kept in KEPT:
                (partial / kept).parent.mkdir(parents=True, exist_ok=True)
                (everything / kept).rename(partial / kept)
            shutil.rmtree(everything)
            (partial / VERSIONS).write_text(
                "".join(f"{file.name}\n" for file in files), encoding="utf-8")
    names = (root / VERSIONS).read_text(encoding="utf-8").splitlines()
    say("image", f"guests run under QEMU {qemu_version(names)} of "
                 f"{pins.GUEST_SUITE}")
    return root


def check_series(version):
    """Fail if a version of QEMU is not of the pinned series."""
    if not f"{version}.".startswith(f"{pins.QEMU_SERIES}."):
        raise Failure(
            f"{pins.GUEST_SUITE} has QEMU {version} for "
            f"{pins.GUEST_ARCHITECTURE}, not {pins.QEMU_SERIES}.",
            "See whether the tests pass with it, then change QEMU_SERIES and "
            "GUEST_SUITE in tools/workspace/pins.py.")


def _downloaded(cache, log):
    """The packages, from the one suite that they are to come from."""
    packages = " ".join(pins.GUEST_PACKAGES)
    say("image", f"Debian's {pins.GUEST_ARCHITECTURE} {packages} from "
                 f"{pins.GUEST_SUITE}")
    state = apt.suite_state(cache, pins.GUEST_SUITE, pins.GUEST_ARCHITECTURE)
    state.update(log, "image: package lists")
    return state.download_closure(pins.GUEST_PACKAGES, log, "image: packages")


def _host_disk(unpacked, directory, log):
    root = directory / "root"
    shutil.copytree(unpacked, root, symlinks=True)
    for name in MOUNT_POINTS:
        (root / name).mkdir()
    for name in ("bin", "lib"):
        (root / name).symlink_to(f"usr/{name}")
    _install(HOST_SCRIPTS, root)
    drive(root, directory / "host.ext4", log)
    shutil.rmtree(root)


def _guest_initramfs(unpacked, directory, log):
    root = directory / "guest"
    for name in ("bin", "dev", "mnt", "proc", "sys", "tmp"):
        (root / name).mkdir(parents=True)
    shutil.copy2(unpacked / "usr/bin/busybox", root / "bin/busybox")
    _install(GUEST_SCRIPTS, root)
    archive = "find . | sort | cpio -o -H newc -R 0:0 >../initramfs"
    process.run(["sh", "-c", archive], log, "image: guest initramfs", cwd=root)
    shutil.rmtree(root)


def _install(scripts, root):
    for source, target in scripts.items():
        shutil.copyfile(SCRIPTS / source, root / target)
        (root / target).chmod(0o755)
