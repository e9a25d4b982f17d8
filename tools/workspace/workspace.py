# SPDX-License-Identifier: GPL-2.0
"""All steps in order, under one lock; and what a run takes away from them."""

import contextlib
import functools
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from . import (build, deb, debian_root, distribution, firmware, image, kvm_ioctls,
               module, packages, pins, selftests, stats, toolchain, tree)
from .errors import Failure
from .settings import BUILD, LOGS
from .steps import lock, remove, say


@dataclass(frozen=True)
class Built:
    """The files of one backend."""

    kernel: Path
    module: Path
    sources: dict
    # What mounts the disk, for a kernel that cannot do that by itself.
    initrd: Path | None = None
    # Those of build.MODULES, if programs were built, too.
    test_modules: tuple = ()


@dataclass(frozen=True)
class Package:
    """A package of the module, and what a machine has where it is installed."""

    file: Path
    # Of the kernel, and the name of the package.
    release: str
    name: str
    # What dpkg knows of the kernel's own modules.
    status: Path


@dataclass
class Artifacts:
    """Files to run: a run's own, which no other run changes or removes."""

    disk: Path
    initramfs: Path
    backends: dict = field(default_factory=dict)
    # By purpose; see build.WATCHED. These and the next ones may be promises, as
    # long as nobody uses them; see put().
    watched: dict = field(default_factory=dict)
    # For the kernel that Debian has built.
    stock: "Artifacts | None" = None
    # The package of the module for that kernel, and what it is installed on.
    package: Package | None = None
    # A disk with libvirt, and one with perf and trace-cmd.
    libvirt: Path | None = None
    tools: Path | None = None
    # The unit tests of that crate.
    kvm_ioctls: Path | None = None
    # That with SBI nested acceleration; QEMU has its own.
    firmware: Path | None = None
    firmware_judge: Path | None = None
    programs: dict = field(default_factory=dict)
    # What the kernel has, by its own Makefile, whether it was built or not.
    upstream_programs: set = field(default_factory=set)

    def put(self, host, made=True):
        """Keep what was made for a host; without it, only say that it will be."""
        if host == module.STOCK:
            self.stock = made
        elif host == kvm_ioctls.HOST:
            self.kvm_ioctls = made
        else:
            self.watched[host] = made

    def command(self, program, arguments="", environment=""):
        """What runs a program in a host, where it may leave files."""
        name = self.programs[program].name
        return f"cd /tmp && {environment}/payload/{name} {arguments}".rstrip()


class Workspace:
    """The steps, each run once, on demand."""

    def __init__(self, settings, extra_packages=()):
        self.settings = settings
        self.extra_packages = extra_packages

    @functools.cache
    def release(self):
        return packages.prepare(self.settings.cache, LOGS / "packages.log",
                                self.extra_packages)

    @functools.cache
    def toolchain(self):
        return toolchain.prepare(self.settings.cache, self.release(),
                                 LOGS / "toolchain.log")

    @functools.cache
    def tree(self):
        laid_over = tree.prepare(self.settings, self.toolchain(),
                                 LOGS / "tree.log")
        link = BUILD / "tree"
        remove(link)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(laid_over.path)
        return laid_over

    def builder(self, backend):
        return build.Builder(self.tree(), self.toolchain(), backend,
                             self.settings.jobs, LOGS)

    def watched_builder(self, purpose):
        """For a host that watches itself, under the Rust backend."""
        return build.Builder(self.tree(), self.toolchain(), "rust",
                             self.settings.jobs, LOGS, purpose=purpose,
                             fragments=build.WATCHED[purpose])

    def disk(self):
        self.release()
        return image.prepare(self.settings.cache, LOGS / "image.log",
                             self.settings.guest_qemu)

    def firmware(self):
        return firmware.prepare(self.toolchain(), LOGS / "firmware.log")

    def programs(self, upstream):
        return selftests.prepare(self.tree(), self.toolchain(),
                                 self.settings.jobs, LOGS / "selftests.log",
                                 upstream)

    def locked(self):
        return lock(self.settings.cache / "lock")


@contextlib.contextmanager
def _own(settings, workspace, make):
    """What `make` makes under the lock, in a directory of this run's own.

    What is run is a copy (of links, where the files are never changed in
    place), so that a run that lasts does not stop others from building.
    """
    runs = settings.cache / "run"
    with workspace.locked():
        _remove_dead(runs)
        runs.mkdir(parents=True, exist_ok=True)
        directory = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=runs))
        try:
            artifacts = make(directory)
        except BaseException:
            remove(directory)
            raise
    try:
        yield artifacts
    finally:
        remove(directory)


def prepared(settings, backends, programs=None, with_firmware=False,
             extra_packages=(), with_tools=False):
    """Everything that is needed to run the given backends, up to date.

    `programs` are the kernel's own selftests to build; with them come the
    project's.
    """
    workspace = Workspace(settings, extra_packages)

    def make(directory):
        disk = workspace.disk()
        built = {backend: workspace.builder(backend).kernel()
                 for backend in backends}
        modules = {} if programs is None else {
            backend: workspace.builder(backend).test_modules(kernel)
            for backend, kernel in built.items()}
        built_programs = {} if programs is None \
            else workspace.programs(programs)
        bios = workspace.firmware() if with_firmware or settings.nacl \
            else None
        artifacts = _take(directory, disk, built, modules, built_programs,
                          bios)
        if with_tools:
            artifacts.tools = _link(debian_root.prepare(
                settings.cache, settings.guest_qemu, pins.TOOLS_PACKAGES,
                LOGS / "tools.log"), directory)
        if built_programs:
            artifacts.upstream_programs = selftests.listed(workspace.tree())
        return artifacts

    return _own(settings, workspace, make)


def prepared_watched(settings, purpose):
    """The kernel of a host that watches itself, by a key of build.WATCHED."""
    workspace = Workspace(settings)

    def make(directory):
        return _copied(directory, workspace.watched_builder(purpose).kernel())

    return _own(settings, workspace, make)


def prepared_kvm_ioctls(settings):
    """The unit tests of the crate kvm-ioctls."""
    workspace = Workspace(settings)

    def make(directory):
        workspace.toolchain()
        return Path(shutil.copy(kvm_ioctls.prepare(LOGS / "kvm-ioctls.log"),
                                directory))

    return _own(settings, workspace, make)


def prepared_stock(settings, test_modules=(), extra_packages=(),
                   with_package=False, with_libvirt=False):
    """As prepared(), for a kernel that Debian has built: the module, and the
    kernel's own kvm.ko beside it. `test_modules` are names in build.MODULES.
    """
    workspace = Workspace(settings, (*pins.MODULE_PACKAGES, *extra_packages))

    def make(directory):
        disk = workspace.disk()
        builder = module.Builder(workspace)
        kernel = builder.target.debian
        if not kernel:
            raise Failure(
                f"The kernel of {builder.target.headers} cannot be booted "
                "here: there are only its headers.",
                f"Use KERNEL={module.STOCK}, or the version of a kernel of "
                "Debian's.")
        files = {"rust": builder.module(), "c": kernel.own_kvm}
        disturbing = tuple(
            Path(shutil.copy(builder.test_module(name), directory))
            for name in test_modules)
        initrd = _link(distribution.initramfs(
            kernel, image.busybox(settings.cache, settings.guest_qemu),
            image.EARLY_INIT, LOGS / "module.log"), directory)
        booted = _link(kernel.image, directory)
        artifacts = _with_disk(directory, disk)
        if with_package:
            artifacts.package = _package(kernel, files["rust"], directory)
        if with_libvirt:
            artifacts.libvirt = _link(debian_root.prepare(
                settings.cache, settings.guest_qemu, pins.LIBVIRT_PACKAGES,
                LOGS / "libvirt.log"), directory)
        for backend, file in files.items():
            own = shutil.copy(file, directory / f"{backend}.ko")
            artifacts.backends[backend] = Built(
                booted, own, {}, initrd=initrd, test_modules=disturbing)
        return artifacts

    return _own(settings, workspace, make)


def _package(kernel, built, directory):
    """The package of a module, and what is known of the kernel's own."""
    return Package(deb.binary(kernel, built, directory, LOGS / "module.log"),
                   kernel.release, deb.binary_name(kernel),
                   Path(shutil.copy(kernel.status, directory)))


def _link(file, directory):
    """A file of the cache's that is never changed in place."""
    target = directory / file.name
    os.link(file, target)
    return target


def _with_disk(directory, disk):
    return Artifacts(_link(disk.image, directory),
                     _link(disk.initramfs, directory))


def _take(directory, disk, built, modules, programs, bios):
    artifacts = _with_disk(directory, disk)
    for backend, kernel in built.items():
        target = directory / backend
        target.mkdir()
        artifacts.backends[backend] = _copied(target, kernel,
                                              modules.get(backend, ()))
    if bios:
        artifacts.firmware = directory / "nacl-sbi"
        shutil.copy(bios.image, artifacts.firmware)
        artifacts.firmware_judge = directory / bios.judge.name
        shutil.copy(bios.judge, artifacts.firmware_judge)
        artifacts.programs[bios.control.name] = directory / bios.control.name
        shutil.copy(bios.control, directory)
    for name, program in programs.items():
        target = directory / "programs" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(program, target)
        artifacts.programs[name] = target
    return artifacts


def _copied(directory, kernel, modules=()):
    """The files of a kernel of ours, in a directory of the run."""
    return Built(
        Path(shutil.copyfile(kernel.image, directory / "Image")),
        Path(shutil.copyfile(kernel.module, directory / "kvm.ko")),
        stats.linked_sources(kernel.objects),
        test_modules=tuple(Path(shutil.copy(file, directory))
                           for file in modules))


def _remove_dead(runs):
    """Remove what runs have left that were killed without a chance to."""
    for directory in runs.glob("*-*"):
        process = directory.name.split("-")[0]
        if not Path(f"/proc/{process}").exists():
            say("workspace", f"removing what run {process} left behind")
            remove(directory)
