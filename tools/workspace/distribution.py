# SPDX-License-Identifier: GPL-2.0
"""A kernel that Debian has built for riscv64: its headers, and what boots it."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from . import apt, kernel, pins, process
from .errors import Failure
from .steps import digest, say, whole

PREFIX = "linux-headers-"
SUFFIX = f"-{pins.GUEST_ARCHITECTURE}"
# Where the modules are that are not thrown away.
KEPT = "modules"
# What the first steps of a boot load before there is a disk, in this order.
EARLY = ("virtio_mmio", "virtio_blk", "crc16", "mbcache", "jbd2", "ext4")


@dataclass(frozen=True)
class Kernel:
    """One build of the kernel, unpacked below `root` as it is on a machine."""

    # As in 7.2.13+deb14.
    abi: str
    # Of the packages, as in 7.2.13-1.
    version: str
    suite: str
    root: Path

    @property
    def release(self):
        return f"{self.abi}{SUFFIX}"

    @property
    def headers(self):
        return self.root / f"usr/src/linux-headers-{self.release}"

    @property
    def modules(self):
        return self.root / f"usr/lib/modules/{self.release}"

    @property
    def image(self):
        return self.modules / "vmlinuz"

    @property
    def source(self):
        return next((self.root / "source").glob("*.deb"))

    @property
    def status(self):
        """What dpkg knows of the package of modules, where it is installed."""
        return self.root / f"{KEPT}/status"

    @property
    def own_kvm(self):
        """The kernel's own kvm.ko."""
        return self.root / f"{KEPT}/kvm.ko"


def find(cache: Path, wanted: str | None, log: Path) -> Kernel:
    """Return the kernel of that ABI, or the newest; downloaded if need be."""
    kernels = cache / "debian-kernels"
    # Without what a run has left half made, whose name begins with a dot.
    for root in sorted(kernels.glob("[!.]*"), key=_age, reverse=True):
        found = _unpacked(root)
        if wanted in (None, found.abi):
            return found
    offers = {}
    for suite in pins.DISTRIBUTION_SUITES:
        say("distribution", f"looking for kernels of {suite}")
        state = apt.suite_state(cache, suite, pins.GUEST_ARCHITECTURE)
        state.update(log, f"distribution: lists of {suite}")
        found = state.versions(rf"^{PREFIX}[0-9].*{SUFFIX}$")
        for name, version in found.items():
            abi = name.removeprefix(PREFIX).removesuffix(SUFFIX)
            offers.setdefault(abi, (version, suite))
    usable = {abi: offer for abi, offer in offers.items()
              if kernel.known_series(abi)}
    if not usable or wanted and wanted not in usable:
        raise Failure(
            f"Debian's archive has no kernel {wanted or 'of a known series'} "
            "for riscv64. It has: " + (", ".join(sorted(offers)) or "none"),
            "The backend is for " + " and ".join(pins.KERNEL_SERIES) + "; "
            f"choose one of: {', '.join(sorted(usable)) or 'none'}. If the "
            f"archive could not be reached: the log is {log}")
    abi = wanted or max(usable, key=numbers)
    version, suite = usable[abi]
    return _download(cache, kernels / f"{abi}_{version}_{suite}", log)


def _age(root):
    return root.stat().st_mtime


def numbers(abi):
    """By which the newest of some kernels is found."""
    return [int(number) for number in re.findall(r"\d+", abi)]


def _unpacked(root):
    """The kernel below a directory, whose name says which it is."""
    return Kernel(*root.name.split("_"), root)


def _download(cache, root, log):
    made = _unpacked(root)
    abi = made.abi
    say("distribution", f"downloading Debian's kernel {made.version}, "
                        "about 300 MB")
    target = apt.suite_state(cache, made.suite, pins.GUEST_ARCHITECTURE)
    native = apt.suite_state(cache, made.suite, apt.architecture())
    native.update(log, f"distribution: lists of {made.suite}")
    with whole(root) as partial:
        partial.mkdir(parents=True)
        for state, package in (
                (target, f"linux-headers-{abi}-common"),
                (target, f"linux-headers-{abi}{SUFFIX}"),
                (target, f"linux-binary-{abi}{SUFFIX}"),
                (target, f"linux-modules-{abi}{SUFFIX}"),
                # The scripts and programs of this machine's architecture.
                (native, f"linux-kbuild-{abi}")):
            file = _fetch(state, package, made.version, partial, log)
            process.run(["dpkg-deb", "-x", file, partial], log,
                        f"distribution: unpacking {package}")
            if package.startswith("linux-modules-"):
                fields = process.output(["dpkg-deb", "-f", file])
            file.unlink()
        _fetch(target, f"linux-source-{kernel.series_of(abi)}", made.version,
               partial / "source", log)
        _keep_few_modules(partial, made.release, log)
        (partial / KEPT / "status").write_text(
            f"{fields}Status: install ok installed\n", encoding="utf-8")
        _move_headers(partial, root, made.release)
    return made


def _fetch(state, package, version, directory, log):
    directory.mkdir(exist_ok=True)
    process.run(["apt-get", *state.options, "download",
                 f"{package}={version}"], log,
                f"distribution: downloading {package}",
                "If the archive has just been updated: try again.",
                cwd=directory)
    return next(directory.glob(f"{package}_*.deb"))


def _keep_few_modules(partial, release, log):
    """Of 4000 modules, keep KVM and what a boot needs; uncompressed."""
    modules = partial / "usr/lib/modules" / release
    kept = partial / KEPT
    kept.mkdir()
    for name in (*EARLY, "kvm"):
        file = next(modules.rglob(f"{name}.ko*"), None)
        # An option may have been made y.
        if file:
            shutil.copy(file, kept)
    for file in kept.glob("*.xz"):
        process.run(["xz", "-d", file], log, "distribution: modules")
    shutil.rmtree(modules / "kernel")


def _move_headers(partial, root, release):
    """Write into the headers where they are: not at the top of a machine."""
    makefile = partial / f"usr/src/linux-headers-{release}/Makefile"
    makefile.write_text(makefile.read_text(encoding="utf-8").replace(
        "/usr/src/", f"{root}/usr/src/"))


def initramfs(booted: Kernel, busybox: Path, init: Path, log: Path) -> Path:
    """Return what mounts the host's disk, for a kernel with all in modules."""
    target = booted.root / f"early-{digest(busybox, init)}.cpio"
    if target.is_file():
        return target
    with whole(booted.root / "early") as partial:
        for name in ("bin", "dev", "modules", "proc", "root"):
            (partial / name).mkdir(parents=True)
        shutil.copy(busybox, partial / "bin/busybox")
        shutil.copy(init, partial / "init")
        for number, name in enumerate(EARLY):
            file = booted.root / f"{KEPT}/{name}.ko"
            if file.is_file():
                shutil.copy(file, partial / f"modules/{number}-{name}.ko")
        with whole(target) as archive:
            process.run(["bash", "-o", "pipefail", "-c",
                         'cd "$1" && find . | cpio -o -H newc >"$2"',
                         "pack", partial, archive],
                        log, "distribution: packing the initramfs")
    return target
