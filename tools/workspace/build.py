# SPDX-License-Identifier: GPL-2.0
"""Kernel and kvm.ko, for each backend in a directory of its own."""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from . import compiler_warnings, process
from .errors import Failure
from .settings import REPOSITORY
from .steps import digest, say, whole, write_if_changed

CONFIGS = REPOSITORY / "tools/testing/configs"
# Modules by which tests disturb the host.
MODULES = REPOSITORY / "tools/testing/modules"
HOST = (CONFIGS / "host.config",)
# The hosts whose kernels watch themselves. A later line on a symbol replaces an
# earlier one.
WATCHED = {name: (*HOST, CONFIGS / f"{name}.config")
           for name in ("debug", "kasan")}
SYMBOL = "CONFIG_KVM_RISCV_RUST"
OTHER = {"rust": "c", "c": "rust"}


@dataclass(frozen=True)
class Kernel:
    """What a build made."""

    backend: str
    objects: Path

    @property
    def image(self):
        return self.objects / "arch/riscv/boot/Image"

    @property
    def module(self):
        return self.objects / "arch/riscv/kvm/kvm.ko"

    @property
    def test_modules(self):
        """Where those of MODULES are made."""
        return self.objects / "test-modules"


class Builder:
    """Runs the kernel's own make in one object directory."""

    def __init__(self, tree, toolchain, backend, jobs, logs, purpose=None,
                 fragments=HOST):
        self.tree = tree
        self.toolchain = toolchain
        self.backend = backend
        self.jobs = jobs
        self.purpose = purpose or backend
        self.fragments = fragments
        self.objects = tree.base / self.purpose
        self.log = logs / f"build-{self.purpose}.log"

    def make(self, what, *arguments):
        process.run(["make", "-C", self.tree.path, f"O={self.objects}",
                     f"-j{self.jobs}", *self.toolchain.make_variables,
                     *arguments],
                    self.log, f"build ({self.purpose}): {what}",
                    env={**os.environ, **self.toolchain.environment})

    def kernel(self):
        """Configure and build; a build with nothing to do is short."""
        kernel = Kernel(self.backend, self.objects)
        self._begin()
        if not kernel.image.is_file():
            say("build", f"kernel and kvm.ko ({self.purpose}), "
                         "about 9 minutes on 2 cores")
        self.make("kernel and kvm.ko", "Image", "modules")
        compiler_warnings.refuse(self.log, self.tree)
        return kernel

    def test_modules(self, kernel):
        """Build the modules for tests, for a kernel that is built; return them."""
        self.make("modules for tests", f"M={MODULES}",
                  f"MO={kernel.test_modules}", "modules")
        return tuple(kernel.test_modules / source.with_suffix(".ko").name
                     for source in sorted(MODULES.glob("*.c")))

    def check(self, targets):
        """Compile some targets under clippy."""
        self.targets("clippy", "CLIPPY=1", *targets)

    def targets(self, what, *arguments):
        """Configure, and make something else than a kernel."""
        self._begin()
        self.make(what, *arguments)
        compiler_warnings.refuse(self.log, self.tree)

    def _begin(self):
        process.new_log(self.log)
        # With other options, next to nothing could be taken over.
        if not self.objects.exists() and self.fragments == HOST:
            self._start_from_other()
        self._configure()

    def _start_from_other(self):
        """Begin with the objects of another build: nearly all are the same.

        What is not is found by kbuild itself, which compares commands,
        configuration and dependencies, and builds it again.
        """
        for backend in (self.backend, OTHER[self.backend]):
            other = self.tree.base / backend
            if Kernel(backend, other).image.is_file():
                break
        else:
            return
        say("build", f"{self.purpose}: starting from the objects of {backend}")
        with whole(self.objects) as partial:
            process.run(["cp", "-a", other, partial], self.log,
                        f"build ({self.purpose}): copying objects")
            (partial / "configured").unlink(missing_ok=True)

    def _configure(self):
        chosen = "y" if self.backend == "rust" else "n"
        wanted = _merged([path.read_text(encoding="utf-8")
                          for path in self.fragments])
        wanted += f"\n{SYMBOL}={chosen}\n"
        kconfigs = [self.tree.path / path for path in self.tree.laid
                    if Path(path).name.startswith("Kconfig")]
        stamp = digest(wanted, self.tree.version, *kconfigs)
        done = self.objects / "configured"
        if done.is_file() and done.read_text() == stamp:
            return
        say("build", f"configuring ({self.purpose})")
        self.objects.mkdir(parents=True, exist_ok=True)
        fragment = self.objects / "host.config"
        write_if_changed(fragment, wanted.encode())
        self.make("configuring", f"KCONFIG_ALLCONFIG={fragment}",
                  "allnoconfig")
        self._check_config(wanted)
        done.write_text(stamp)

    def _check_config(self, wanted):
        """Every line of the fragment must have taken effect."""
        config = (self.objects / ".config").read_text(encoding="utf-8")
        there = set(config.splitlines())
        for line in wanted.splitlines():
            setting = re.match(r"(CONFIG_\w+)=(.*)", line)
            if not setting:
                continue
            symbol, value = setting.groups()
            if value == "n":
                kept = not re.search(rf"^{symbol}=", config, re.M)
            else:
                kept = line in there
            if not kept:
                found = re.search(rf"^.*\b{symbol}\b.*$", config, re.M)
                instead = found.group() if found else "nothing"
                raise Failure(
                    f"{line} was asked for and has not taken effect; the "
                    f"configuration has: {instead}",
                    f"Look at what {symbol} depends on: its Kconfig entry, "
                    f"and what is missing from {self.fragments[-1].name}.")


def _merged(texts):
    """The settings of all texts; the last one on a symbol holds."""
    settings = {}
    for text in texts:
        settings.update(re.findall(r"^(CONFIG_\w+)=(.*)$", text, re.M))
    return "".join(f"{symbol}={value}\n"
                   for symbol, value in settings.items())


def analyzer_file(builder, kernel):
    """The project file of rust-analyzer, beside the source it describes."""
    builder.make("rust-analyzer", "rust-analyzer")
    source = kernel.objects / "rust-project.json"
    target = builder.tree.path / "rust-project.json"
    shutil.copyfile(source, target)
    return target
