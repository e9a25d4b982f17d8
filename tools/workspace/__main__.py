# SPDX-License-Identifier: GPL-2.0
"""What the targets of the Makefile do that need no host."""

import shutil

from . import (build, command, deb, disassembly, docs, lint, module, pins,
               rules, series, stats)
from .settings import BUILD
from .steps import lock, remove
from .workspace import Workspace


# What the cache holds.
BUILT = ("linux", "module", "image", "run")
DOWNLOADED = ("apt", "bindgen", "cargo-mutants", "distribution", "downloads",
              "gcc")


def tree(settings):
    workspace = Workspace(settings)
    with workspace.locked():
        print(workspace.tree().path)


def rust_analyzer(settings):
    workspace = Workspace(settings)
    with workspace.locked():
        builder = workspace.builder("rust")
        kernel = builder.kernel()
        print(build.analyzer_file(builder, kernel))


def stats_(settings):
    stats.show_source()
    workspace = Workspace(settings)
    with workspace.locked():
        stats.show_linked(workspace.builder("rust").kernel())


def disassemble(settings):
    workspace = Workspace(settings)
    with workspace.locked():
        disassembly.show(workspace.builder("rust").kernel(),
                         workspace.toolchain().llvm)


def lint_(settings):
    rules.check()
    workspace = Workspace(settings)
    with workspace.locked():
        lint.run(workspace)


def docs_(settings):
    workspace = Workspace(settings, pins.DOCS_PACKAGES)
    with workspace.locked():
        print(f"docs: {docs.make(workspace)}")


def series_(settings):
    workspace = Workspace(settings, pins.SERIES_PACKAGES)
    with workspace.locked():
        series.make(workspace)


def module_(settings):
    workspace = Workspace(settings, pins.MODULE_PACKAGES)
    with workspace.locked():
        target, built = module.make(workspace)
        BUILD.mkdir(exist_ok=True)
        copy = shutil.copy(built, BUILD / "kvm.ko")
    print(f"module: {copy}, for Linux {target.release}")


def deb_(settings):
    workspace = Workspace(settings,
                          (*pins.MODULE_PACKAGES, *pins.DEB_PACKAGES))
    with workspace.locked():
        for package in deb.make(*module.make(workspace)):
            print(f"deb: {package}")


def clean(settings):
    """Remove what can be made again from what was downloaded."""
    with lock(settings.cache / "lock"):
        for name in BUILT:
            remove(settings.cache / name)
        remove(BUILD)
    print(f"Kept: downloads in {settings.cache}. "
          "`make distclean` removes them.")


def distclean(settings):
    with lock(settings.cache / "lock"):
        # By name: CACHE= may point at a directory that holds other things.
        for name in (*BUILT, *DOWNLOADED):
            remove(settings.cache / name)
        remove(BUILD)


VERBS = {
    "tree": tree, "rust-analyzer": rust_analyzer, "stats": stats_,
    "lint": lint_, "disassemble": disassemble, "docs": docs_,
    "series": series_, "module": module_, "deb": deb_,
    "clean": clean, "distclean": distclean,
}

if __name__ == "__main__":
    command.choose("workspace", VERBS)
