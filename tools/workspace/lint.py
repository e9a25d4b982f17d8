# SPDX-License-Identifier: GPL-2.0
"""The kernel's rules for Rust code: rustfmt, and clippy over the backend; and
clippy over the firmware. What the documentation says of the C backend is compared
with its sources here as well. The rules of the house are in rules.py."""

from . import firmware, parity, process
from .build import Builder
from .settings import LOGIC, LOGS, MODELS
from .steps import say

TARGETS = ("rust/kernel.o", "arch/riscv/kvm/kvm_riscv.o")


def run(workspace):
    tree = workspace.tree()
    say("lint", f"{parity.PAGE.name}: each function of the C backend")
    parity.check(tree)
    _format(tree)
    _clippy(tree, workspace)
    say("lint", "clippy over the firmware")
    firmware.check(workspace.toolchain(), LOGS / "firmware-clippy.log")
    print("lint: clean")


def _format(tree):
    say("lint", "rustfmt")
    files = [tree.path / path for path in tree.laid if path.endswith(".rs")]
    files += sorted(path for source in (LOGIC, MODELS, firmware.SOURCE)
                    for path in source.rglob("*.rs")
                    if "target" not in path.parts)
    log = LOGS / "rustfmt.log"
    process.new_log(log)
    process.run(["/usr/bin/rustfmt", "--check", "--edition", "2021",
                 "--config-path", tree.path / ".rustfmt.toml", *files],
                log, "lint: rustfmt",
                "Format with /usr/bin/rustfmt and the kernel's .rustfmt.toml.")


def _clippy(tree, workspace):
    say("lint", "clippy, in objects of its own: it compiles the crates again")
    builder = Builder(tree, workspace.toolchain(), "rust",
                      workspace.settings.jobs, LOGS, "clippy")
    builder.check(TARGETS)
