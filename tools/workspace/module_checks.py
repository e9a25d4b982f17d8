# SPDX-License-Identifier: GPL-2.0
"""What must hold of a kernel before the module is built for it, and of the
module before it may be loaded."""

import re
import shutil
from collections import Counter
from pathlib import Path

from . import process
from .errors import Failure
from .toolchain import CROSS_COMPILE

IN_TREE = "Build the kernel itself, with the backend in its tree: `make series`."
# A line of a configuration that rules the module out, why, and what to do.
REFUSED = (
    (r"^CONFIG_KVM=y$",
     "KVM is a part of that kernel, and no module", IN_TREE),
    (r"^# CONFIG_KVM is not set$", "that kernel has no KVM",
     "Use a kernel with CONFIG_KVM=m."),
    (r"^CONFIG_RUST=y$", "that kernel has Rust itself", IN_TREE),
    (r"^CONFIG_RANDSTRUCT_(FULL|PERFORMANCE)=y$",
     "its structures are laid out at random, which Rust does not follow",
     IN_TREE),
    (r"^CONFIG_CFI(_CLANG)?=y$",
     "it checks calls in a way that needs its own compiler", IN_TREE),
    (r"^CONFIG_LTO_CLANG=y$", "it is optimized when it is linked", IN_TREE),
    (r"^CONFIG_MODVERSIONS=y$",
     "it checks symbols by versions, which the Rust code has none of",
     IN_TREE),
    (r"^# CONFIG_(64BIT|SMP|FPU) is not set$",
     "the backend is for SMP kernels of 64 bits with floating point",
     "Use such a kernel."),
)
NEEDED = (
    (r"^CONFIG_RISCV=y$", "it is not for RISC-V"),
    (r"^CONFIG_KVM=m$", "it has no kvm.ko"),
)
# Tables that the kernel reads when it loads a module: an entry that is missing
# is a static key or an alternative that is never patched.
TABLES = ("__jump_table", "__bug_table", ".alternative", "__ex_table")
# Structures of the kernel's that the module touches, and that options change.
STRUCTURES = ("task_struct", "thread_info", "thread_struct", "mm_struct",
              "vm_area_struct", "file", "page", "folio", "hrtimer",
              "srcu_struct")


def before(headers: Path, config: str) -> None:
    """Fail, before anything is built, where no module can work."""
    for pattern, why, advice in REFUSED:
        found = re.search(pattern, config, re.M)
        if found:
            raise Failure(f"No module can be built for the kernel of "
                          f"{headers}: {why} ({found.group()}).", advice)
    for pattern, why in NEEDED:
        if not re.search(pattern, config, re.M):
            raise Failure(f"No module can be built for the kernel of "
                          f"{headers}: {why}.",
                          "Use a RISC-V kernel with CONFIG_KVM=m.")


def after(headers: Path, sources: Path, module: Path, programs: Path) -> None:
    """Fail if the module would not load, or would do harm when it is loaded.

    That all its symbols are exported is what the kernel's own modpost checks.
    """
    tools = Tools(programs)
    if "R_RISCV_ALIGN" in tools.read("readelf", "-rW", module):
        raise Failure(f"{module} has R_RISCV_ALIGN, which a kernel refuses.",
                      "An object was compiled without -mno-relax.")
    _refuse_lost_tables(tools, sources, module)
    # Compiled from C: what Rust calls by the same names, pahole prints otherwise.
    _refuse_other_structures(tools, headers,
                             sources / "virt/kvm/kvm_main.o")


class Tools:
    """The programs beside the compiler."""

    def __init__(self, directory):
        self.directory = directory

    def read(self, name, *arguments):
        return process.output(
            [self.directory / f"{CROSS_COMPILE}{name}", *arguments])

    @property
    def pahole(self):
        own = self.directory / "pahole"
        return str(own) if own.is_file() else shutil.which("pahole")


def section_sizes(text: str) -> Counter:
    """The sizes of the tables in what `readelf -SW` prints."""
    sizes = Counter()
    for line in text.splitlines():
        found = re.match(r"\s*\[ *\d+\] (\S+) +\S+ +[0-9a-f]+ [0-9a-f]+ "
                         r"([0-9a-f]+) ", line)
        if found and found.group(1) in TABLES:
            sizes[found.group(1)] += int(found.group(2), 16)
    return sizes


def _refuse_lost_tables(tools, sources, module):
    objects = (sources / "kvm.mod").read_text(encoding="utf-8").split()
    went_in = Counter()
    for name in objects:
        went_in += section_sizes(tools.read("readelf", "-SW", sources / name))
    came_out = section_sizes(tools.read("readelf", "-SW", module))
    lost = [f"{name}: {size} bytes went in, {came_out[name]} came out"
            for name, size in went_in.items() if came_out[name] != size]
    if lost or not went_in["__jump_table"]:
        raise Failure(f"{module} lacks entries of tables that the kernel "
                      "patches code by:\n    " + "\n    ".join(lost),
                      "The linker must keep all sections.")


def _refuse_other_structures(tools, headers, module):
    """Compare what was compiled with what the kernel says of itself."""
    kernel = headers / "vmlinux"
    if not tools.pahole:
        raise Failure("pahole is not there, which tells how structures are "
                      "laid out.", "Install the package pahole.")
    if not kernel.is_file():
        raise Failure(f"{kernel} is not there, so that the structures of the "
                      "kernel are not known.",
                      "Install headers with BTF; Debian's have it.")
    layouts = {name: (_layout(tools.pahole, "btf", kernel, name),
                      _layout(tools.pahole, "dwarf", module, name))
               for name in STRUCTURES}
    unknown = [name for name, (wanted, found) in layouts.items()
               if not wanted or not found]
    if unknown:
        raise Failure(f"{module} and {kernel} do not both know the structures "
                      f"{', '.join(unknown)}, so they cannot be compared.",
                      "Build with debugging information, against headers "
                      "that have BTF.")
    differing = [name for name, (wanted, found) in layouts.items()
                 if wanted != found]
    if differing:
        raise Failure(f"{module} was compiled with other structures than the "
                      f"kernel's: {', '.join(differing)}.",
                      "The headers are not those of that kernel, or its "
                      "configuration was changed after it was built.")


def _layout(pahole, form, file, name):
    """The members of a structure, as members() has them; empty if unknown."""
    return members(process.run_quietly(
        [pahole, "-F", form, "-C", name, file]))


def members(text: str) -> list:
    """The members in what pahole prints, each with its offset and its size.

    Of attributes, only DWARF knows; those of alignment show in the offsets.
    """
    text = re.sub(r" *__attribute__\(\(\w+\(\d+\)\)\)", "", text)
    return [" ".join(line.split()) for line in text.splitlines()
            if re.search(r";\s*/\* +\d", line)]
