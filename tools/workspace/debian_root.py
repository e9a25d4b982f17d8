# SPDX-License-Identifier: GPL-2.0
"""A disk with a root of Debian's, for programs that a host runs in it.

The packages are unpacked and not installed: none of their scripts is run.
"""

import tempfile
from pathlib import Path

from . import apt, pins, process
from .image import drive
from .steps import digest, say, whole

# As after the merge of / and /usr.
MERGED = ("bin", "lib", "sbin")
MOUNT_POINTS = ("dev", "payload", "proc", "run", "sys", "tmp")
# In KiB, for what the programs write.
SLACK = 64 << 10


def prepare(cache: Path, series: str, packages: tuple, log: Path) -> Path:
    """Return the disk with these packages and all that they depend on, from the
    suite that has QEMU of that series.
    """
    suite = pins.GUEST_QEMU[series]
    target = cache / "root" / f"{suite}-{digest(packages)}.ext4"
    if target.is_file():
        return target
    say("root", f"Debian's {' '.join(packages)} from {suite}")
    state = apt.suite_state(cache, suite, pins.GUEST_ARCHITECTURE)
    state.update(log, "root: package lists")
    files = state.download_closure(packages, log, "root: packages")
    target.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as directory, \
            whole(target) as image:
        root = Path(directory)
        for name in MERGED:
            (root / "usr" / name).mkdir(parents=True)
            (root / name).symlink_to(f"usr/{name}")
        for file in files:
            process.run(["dpkg-deb", "-x", file, root], log,
                        f"root: {file.name}")
        for name in MOUNT_POINTS:
            (root / name).mkdir(exist_ok=True)
        drive(root, image, log, SLACK)
    return target
