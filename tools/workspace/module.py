# SPDX-License-Identifier: GPL-2.0
"""kvm.ko as a module of its own, for a kernel that was built without Rust."""

import os
from dataclasses import dataclass
from pathlib import Path

from . import (cross_gcc, distribution, dkms, module_checks, module_sources,
               process)
from .build import MODULES
from .errors import Failure
from .module_sources import kernel_config, kernel_release
from .settings import LOGS
from .steps import digest, say
from .toolchain import CROSS_COMPILE, RUSTC

INSTALLED = "installed"
STOCK = "stock"


@dataclass(frozen=True)
class Target:
    """A kernel to build for."""

    headers: Path
    source: Path
    # Debian's suite that has its compiler, if it is known.
    suite: str | None = None
    debian: distribution.Kernel | None = None

    @property
    def release(self):
        return kernel_release(self.headers)


def make(workspace):
    """Build the module for the kernel that KERNEL= names; return what that is,
    and the file."""
    builder = Builder(workspace)
    return builder.target, builder.module()


def find(settings, log):
    """Return what KERNEL= names."""
    wanted = settings.kernel if settings.for_module else STOCK
    given = settings.kernel_src or settings.kernel_tarball
    headers = Path(wanted).expanduser()
    if wanted == INSTALLED:
        headers = Path("/lib/modules") / os.uname().release / "build"
    if wanted == INSTALLED or headers.is_absolute():
        if not (headers / "include/config/kernel.release").is_file():
            raise Failure(f"{headers} is no directory of kernel headers.",
                          "Install the package linux-headers-VERSION, or "
                          "point KERNEL= at the headers.")
        headers = headers.resolve()
        return Target(headers, given or dkms.source(kernel_release(headers)))
    kernel = distribution.find(settings.cache,
                               None if wanted == STOCK else wanted, log)
    return Target(kernel.headers, given or kernel.source, kernel.suite, kernel)


class Builder:
    """Builds modules against the headers of the kernel that KERNEL= names."""

    def __init__(self, workspace):
        self.log = LOGS / "module.log"
        process.new_log(self.log)
        self.settings = workspace.settings
        self.toolchain = workspace.toolchain()
        self.target = find(self.settings, self.log)
        headers = self.target.headers
        config = kernel_config(headers)
        module_checks.before(headers, config)
        self.compiler = cross_gcc.find(config, self.settings.cache,
                                       self.target.suite, self.log)
        if self.compiler.root and self.target.debian:
            _relocate_kbuild(self.target, self.compiler, self.log)
        key = digest(self.toolchain.versions, str(headers), self.compiler.name,
                     headers / "include/generated/autoconf.h")
        self.base = self.settings.cache / "module" / \
            f"{self.target.release}-{key[:8]}"
        self.base.mkdir(parents=True, exist_ok=True)

    def module(self) -> Path:
        """Build kvm.ko, and check it; if it is up to date, that takes seconds."""
        headers = self.target.headers
        sources = module_sources.prepare(headers, self.target.source,
                                         self.base / "tree", self.log)
        module = sources / "kvm.ko"
        if not module.is_file():
            say("module", f"building kvm.ko for {self.target.release}, about "
                          "4 minutes on 2 cores")
        self._make(sources, f"HOSTRUSTC={RUSTC}", f"RUSTC={RUSTC}",
                   f"BINDGEN={self.toolchain.bindgen}")
        output = self.base / "kvm.ko"
        if output.is_file() and \
                output.stat().st_mtime >= module.stat().st_mtime:
            return output
        say("module", "checking tables and structures")
        module_checks.after(headers, sources, module, self.compiler.directory)
        process.run(
            [self.compiler.directory / f"{CROSS_COMPILE}strip",
             "--strip-debug", "-o", output, module],
            self.log, "module: stripping")
        return output

    def test_module(self, name: str) -> Path:
        """Build one of the modules by which tests disturb the host."""
        output = self.base / "test-modules"
        self._make(MODULES, f"MO={output}", f"obj-m={name}.o")
        return output / f"{name}.ko"

    def _make(self, sources, *arguments):
        process.run(
            ["make", "-C", self.target.headers, f"M={sources}",
             f"-j{self.settings.jobs}", f"CC={self.compiler.name}",
             f"CROSS_COMPILE={CROSS_COMPILE}", "ARCH=riscv", *arguments,
             "modules"],
            self.log, f"module: {self.target.release}",
            env={**os.environ, **self.toolchain.environment,
                 "PATH": f"{self.compiler.directory}:{os.environ['PATH']}"})


def _relocate_kbuild(target, compiler, log):
    """Debian's programs for building modules are of the kernel's suite, too."""
    root = target.debian.root
    done = root / "relocated"
    if not done.is_file():
        for directory in root.glob("usr/lib/linux-kbuild-*"):
            cross_gcc.relocate(directory, compiler.root / "usr",
                               compiler.root / "usr", log)
        done.touch()
