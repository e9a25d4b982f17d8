# SPDX-License-Identifier: GPL-2.0
"""The device tree of an emulated host, with something added."""

from workspace import process
from workspace.build import CONFIGS

LOG = "device-tree.log"


def options(argv, addition, directory):
    """QEMU's options for the tree that it would make for `argv` by itself, with
    a file of tools/testing/configs added; the files go to `directory`."""
    made, tree = directory / "made.dtb", directory / "host.dtb"
    source = directory / "host.dts"
    at = argv.index("-M") + 1
    _run([*argv[:at], f"{argv[at]},dumpdtb={made}", *argv[at + 1:]], directory)
    _run(["dtc", "-q", "-I", "dtb", "-O", "dts", "-o", source, made], directory)
    with open(source, "a", encoding="utf-8") as text:
        text.write((CONFIGS / f"{addition}.dtsi").read_text(encoding="utf-8"))
    _run(["dtc", "-q", "-I", "dts", "-O", "dtb", "-o", tree, source], directory)
    return "-dtb", str(tree)


def _run(command, directory):
    process.run(command, directory / LOG, f"device tree: {command[0]}",
                "`make run` installs what is needed.")
