# SPDX-License-Identifier: GPL-2.0
"""The kernel's rules for Rust code: rustfmt, and clippy over the backend."""

from . import process
from .build import Builder
from .errors import Failure
from .settings import REPOSITORY
from .steps import say
from .workspace import LOGS

LOGIC = REPOSITORY / "tools/testing/logic"
TARGETS = ("rust/kernel.o", "arch/riscv/kvm/kvm_riscv.o")


def run(workspace):
    tree = workspace.tree()
    _format(tree)
    _clippy(tree, workspace)
    print("lint: clean")


def _format(tree):
    say("lint", "rustfmt")
    files = [tree.path / path for path in tree.laid if path.endswith(".rs")]
    files += sorted(path for path in LOGIC.rglob("*.rs")
                    if "target" not in path.parts)
    log = LOGS / "rustfmt.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("")
    process.run(["/usr/bin/rustfmt", "--check", "--edition", "2021",
                 "--config-path", tree.path / ".rustfmt.toml", *files],
                log, "lint: rustfmt",
                "Format with /usr/bin/rustfmt and the kernel's .rustfmt.toml.")


def _clippy(tree, workspace):
    if "arch/riscv/kvm/Kconfig.rust" not in tree.laid:
        raise Failure("The repository has no Rust backend to check.")
    say("lint", "clippy, in objects of its own: it compiles the crates anew")
    builder = Builder(tree, workspace.toolchain(), "rust",
                      workspace.settings.jobs, LOGS, "clippy")
    builder.check(TARGETS)
