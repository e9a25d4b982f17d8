# SPDX-License-Identifier: GPL-2.0
"""The disk of the emulated host, and the initramfs of the guest inside it.

The host's user space is Debian's riscv64 QEMU and BusyBox, unpacked and not
installed. What changes from build to build (kernel, kvm.ko, test programs)
is on a second, small drive, made anew for every run.
"""

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

WANTED = (pins.GUEST_ARCHITECTURE, pins.GUEST_PACKAGES, KEPT)


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


def _unpacked(cache, log):
    """What is kept of Debian's packages; the name is what they are."""
    roots = {suite: Path(cache) / "image" / f"debian-{digest(suite, WANTED)}"
             for suite in pins.GUEST_SUITES}
    for root in roots.values():
        if root.is_dir():
            return root
    suite, files = _downloaded(cache, log)
    with whole(roots[suite]) as partial:
        everything = partial / "everything"
        everything.mkdir(parents=True)
        for file in files:
            process.run(["dpkg-deb", "-x", file, everything], log,
                        f"image: {file.name}")
        for kept in KEPT:
            (partial / kept).parent.mkdir(parents=True, exist_ok=True)
            (everything / kept).rename(partial / kept)
        shutil.rmtree(everything)
        (partial / "versions").write_text(
            "".join(f"{file.name}\n" for file in files), encoding="utf-8")
    return roots[suite]


def _downloaded(cache, log):
    """The packages, and the first suite that the mirror can give them from:
    while a mirror is updated, its lists of a suite may be of no use."""
    packages = " ".join(pins.GUEST_PACKAGES)
    for suite in pins.GUEST_SUITES:
        say("image",
            f"Debian's {pins.GUEST_ARCHITECTURE} {packages} from {suite}")
        state = apt.suite_state(cache, suite, pins.GUEST_ARCHITECTURE)
        state.update(log, "image: package lists")
        try:
            return suite, state.download_closure(pins.GUEST_PACKAGES, log,
                                                 "image: packages")
        except Failure:
            if suite == pins.GUEST_SUITES[-1]:
                raise
            say("image", f"{suite} cannot be had now, see {log}")


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
