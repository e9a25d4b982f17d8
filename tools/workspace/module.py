# SPDX-License-Identifier: GPL-2.0
"""kvm.ko as a module of its own, for a kernel that was built without Rust."""

import os
from dataclasses import dataclass
from pathlib import Path

from . import (cross_gcc, distribution, dkms, module_checks, module_sources,
               process)
from .errors import Failure
from .module_sources import kernel_release
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
    """Build the module for the kernel that KERNEL= names; return its path."""
    settings = workspace.settings
    log = LOGS / "module.log"
    process.new_log(log)
    toolchain = workspace.toolchain()
    target = find(settings, log)
    return target, build(target, settings, toolchain, log)


def find(settings, log):
    """Return what KERNEL= names."""
    wanted = settings.kernel or STOCK
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


def build(target, settings, toolchain, log):
    """Build the module, and check it; one that is up to date takes seconds."""
    config = (target.headers / ".config").read_text(encoding="utf-8")
    module_checks.before(target.headers, config)
    compiler = cross_gcc.find(config, settings.cache, target.suite, log)
    if compiler.root and target.debian:
        _relocate_kbuild(target, compiler, log)
    key = digest(toolchain.versions, str(target.headers), compiler.name,
                 target.headers / "include/generated/autoconf.h")
    base = settings.cache / "module" / f"{target.release}-{key[:8]}"
    base.mkdir(parents=True, exist_ok=True)
    sources = module_sources.prepare(target.headers, target.source,
                                     base / "tree", log)
    module = sources / "kvm.ko"
    if not module.is_file():
        say("module", f"building kvm.ko for {target.release}, about 4 minutes "
                      "on 2 cores")
    process.run(
        ["make", "-C", target.headers, f"M={sources}", f"-j{settings.jobs}",
         f"CC={compiler.name}", f"HOSTRUSTC={RUSTC}", f"RUSTC={RUSTC}",
         f"CROSS_COMPILE={CROSS_COMPILE}", "ARCH=riscv",
         f"BINDGEN={toolchain.bindgen}", "modules"],
        log, f"module: {target.release}",
        env={**os.environ, **toolchain.environment,
             "PATH": f"{compiler.directory}:{os.environ['PATH']}"})
    output = base / "kvm.ko"
    if output.is_file() and \
            output.stat().st_mtime >= module.stat().st_mtime:
        return output
    say("module", "checking tables and structures")
    module_checks.after(target.headers, sources, module,
                        compiler.directory)
    process.run([compiler.directory / f"{CROSS_COMPILE}strip", "--strip-debug",
                 "-o", output, module], log, "module: stripping")
    return output


def _relocate_kbuild(target, compiler, log):
    """Debian's programs for building modules are of the kernel's suite, too."""
    root = target.debian.root
    done = root / "relocated"
    if not done.is_file():
        for directory in root.glob("usr/lib/linux-kbuild-*"):
            cross_gcc.relocate(directory, compiler.root / "usr",
                               compiler.root / "usr", log)
        done.touch()
