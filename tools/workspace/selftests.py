# SPDX-License-Identifier: GPL-2.0
"""The kernel's kvm selftests, upstream's and the project's, for the host."""

import re

from . import compiler_warnings, process
from .settings import REPOSITORY
from .steps import digest, say
from .toolchain import CROSS_COMPILE

SUITE = "tools/testing/selftests/kvm"
# Where a program has a case, by the macros of the kernel's harnesses.
CASE = re.compile(r"^(?:TEST(?:_SIGNAL)?\(|"
                  r"(?:TEST_F\w*|KVM_ONE_VCPU_TEST)\(\s*\w+,)\s*(\w+)", re.M)
LISTED = re.compile(r"^TEST_GEN_PROGS_(?:COMMON|riscv) \+?= ([\w/-]+)$", re.M)


def ours():
    """The names of the project's own test programs."""
    return tuple(sorted(
        str(path.relative_to(REPOSITORY / SUITE).with_suffix(""))
        for path in (REPOSITORY / SUITE / "riscv").glob("*.c")))


def cases(name):
    """The names of the cases of one of them, by its source."""
    return tuple(CASE.findall((REPOSITORY / SUITE / f"{name}.c").read_text(
        encoding="utf-8")))


def listed(tree):
    """The programs that the kernel's own Makefile has for RISC-V."""
    makefile = tree.path / SUITE / "Makefile.kvm"
    listed = set(LISTED.findall(makefile.read_text(encoding="utf-8")))
    return listed - set(ours())


def prepare(tree, toolchain, jobs, log, upstream):
    """Build the project's programs and those of the kernel that `upstream`
    names; return {name: file}."""
    names = (*upstream, *ours())
    base = tree.base / "selftests"
    objects = base / "objects"
    headers = base / "headers"
    ready = base / "programs"
    base.mkdir(parents=True, exist_ok=True)
    process.new_log(log)
    stamp = base / "headers-made"
    made = digest(tree.version, *_header_sources(tree))
    if not stamp.is_file() or stamp.read_text() != made:
        say("selftests", "kernel headers")
        process.run(["make", "-C", tree.path, f"O={headers}", f"-j{jobs}",
                     *toolchain.make_variables, "headers"],
                    log, "selftests: kernel headers")
        stamp.write_text(made)
    objects.mkdir(exist_ok=True)
    process.run(["make", "-C", tree.path / SUITE, f"-j{jobs}", "ARCH=riscv",
                 f"CROSS_COMPILE={CROSS_COMPILE}", "LLVM=", "LDFLAGS=-static",
                 f"OUTPUT={objects}",
                 f"KHDR_INCLUDES=-isystem {headers}/usr/include",
                 f"TEST_GEN_PROGS_riscv={' '.join(names)}"],
                log, "selftests: build")
    compiler_warnings.refuse(log, tree, SUITE)
    for name in names:
        _strip(objects / name, ready / name, log)
    return {name: ready / name for name in names}


def _header_sources(tree):
    """The project's own files that user space may include."""
    return [tree.path / path for path in tree.laid if "/uapi/" in path]


def _strip(program, target, log):
    if target.is_file() and target.stat().st_mtime >= program.stat().st_mtime:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    process.run([f"{CROSS_COMPILE}strip", "-o", target, program], log,
                f"selftests: {target.name}")
