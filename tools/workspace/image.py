# SPDX-License-Identifier: GPL-2.0
"""The disk of the emulated host, and the initramfs of the guest inside it.

The host's user space is Debian's: QEMU for riscv64, firmware, BusyBox, and dpkg and
kmod, by which a test installs a package. All of it is unpacked and not installed.
What changes from build to build (kernel, kvm.ko, test programs) is on a second,
small drive, which each run makes for itself.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from . import apt, pins, process, qemu
from .errors import Failure
from .settings import REPOSITORY
from .steps import digest, remove, say, whole

SCRIPTS = REPOSITORY / "tools/testing/guest"
MOUNT_POINTS = ("dev", "etc", "payload", "proc", "run", "sys", "tmp", "var",
                "usr/lib/modules", "usr/share/doc")
# Scripts by where they go: in the host, and in the guest's initramfs.
HOST_SCRIPTS = {"host-init": "init", "agent": "agent",
                "guest": "usr/bin/guest", "guest-qemu": "usr/bin/guest-qemu",
                "guest-start": "usr/bin/guest-start"}
EARLY_INIT = SCRIPTS / "early-init"
GUEST_SCRIPTS = {"guest-init": "init", "agent": "agent",
                 "guest-load": "bin/load"}
KEPT = ("usr/bin/busybox", "usr/bin/qemu-system-riscv64", "usr/lib",
        "usr/share/qemu-efi-riscv64", "usr/bin/dash", "usr/bin/dpkg",
        "usr/bin/dpkg-deb", "usr/bin/dpkg-split", "usr/bin/kmod",
        "usr/bin/tar")

WANTED = (pins.GUEST_ARCHITECTURE, pins.GUEST_PACKAGES, KEPT)


@dataclass(frozen=True)
class HostDisk:
    image: Path
    initramfs: Path


def prepare(cache: Path, log: Path, series: str) -> HostDisk:
    """Return the host's disk and the guest's initramfs, made if need be.

    `series` is that of the QEMU which guests are run under.
    """
    unpacked = _unpacked(cache, log, series)
    version = qemu.require_guests(_versions(unpacked), series)
    say("image", f"the host is emulated by QEMU {qemu.of_machine()}; guests "
                 f"run in it under QEMU {version}")
    scripts = [path for path in sorted(SCRIPTS.iterdir()) if path.is_file()]
    key = digest(unpacked.name, HOST_SCRIPTS, GUEST_SCRIPTS, *scripts)
    disk = Path(cache) / "image" / f"disk-{series}-{key}"
    if not disk.is_dir():
        say("image", "host disk and guest initramfs")
        _remove_old(disk.parent, series)
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


def busybox(cache: Path, series: str) -> Path:
    """Return the busybox of the host's disk, which needs no library."""
    return Path(cache) / "image" / root_name(series) / "usr/bin/busybox"


def root_name(series: str) -> str:
    """Return the name of the directory with what is kept of the packages."""
    return f"debian-{series}-{digest(pins.GUEST_QEMU[series], WANTED)}"


def _remove_old(directory, series):
    """Keep what was unpacked for any series, and disks of other series."""
    roots = {root_name(known) for known in pins.GUEST_QEMU}
    others = tuple(f"disk-{known}-" for known in pins.GUEST_QEMU
                   if known != series)
    for old in directory.glob("*"):
        if old.name not in roots and not old.name.startswith(others):
            remove(old)


def _versions(unpacked):
    """Return the names of the packages that were unpacked."""
    return (unpacked / "versions").read_text(encoding="utf-8").splitlines()


def _unpacked(cache, log, series):
    """Return where what is kept of the packages is, unpacked if need be."""
    root = Path(cache) / "image" / root_name(series)
    if root.is_dir():
        return root
    files = _downloaded(cache, log, series)
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
        (partial / "versions").write_text(
            "".join(f"{file.name}\n" for file in files), encoding="utf-8")
    return root


def _downloaded(cache, log, series):
    """Download the packages; refuse those of another series of QEMU."""
    packages = " ".join(pins.GUEST_PACKAGES)
    suite = pins.GUEST_QEMU[series]
    say("image", f"Debian's {pins.GUEST_ARCHITECTURE} {packages} from {suite}")
    state = apt.suite_state(cache, suite, pins.GUEST_ARCHITECTURE)
    state.update(log, "image: package lists")
    try:
        files = state.download_closure(pins.GUEST_PACKAGES, log,
                                       "image: packages")
    except Failure as failure:
        raise Failure(failure.message,
                      f"While the mirror is updated, its lists of {suite} may "
                      "be of no use: try again later.") from failure
    qemu.require_guests([file.name for file in files], series)
    return files


def _host_disk(unpacked, directory, log):
    root = directory / "root"
    shutil.copytree(unpacked, root, symlinks=True)
    for name in MOUNT_POINTS:
        (root / name).mkdir()
    for name in ("bin", "lib"):
        (root / name).symlink_to(f"usr/{name}")
    # For the scripts of packages: BusyBox would run its own programs in place of
    # those that they call.
    (root / "usr/bin/sh").symlink_to("dash")
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
