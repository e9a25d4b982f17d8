# SPDX-License-Identifier: GPL-2.0
"""The firmware with SBI nested acceleration, that hosts may be booted on; and the
program by which a shell on such a host speaks to it."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from . import process
from .settings import BUILD, REPOSITORY
from .steps import say
from .toolchain import CROSS_COMPILE, RUSTC, llvm_program

SOURCE = REPOSITORY / "tools/testing/nacl-sbi"
TARGET = "riscv64imac-unknown-none-elf"
# The library for that target is in no package: it is compiled with the firmware.
CARGO_OPTIONS = ("--release", "--locked", "-Z", "build-std=core",
                 "--target", TARGET)
CONTROL = SOURCE / "host/nacl_sbi_ctl.c"
# What it shares with the selftests.
HEADERS = REPOSITORY / "tools/testing/selftests/kvm/riscv"


@dataclass(frozen=True)
class Firmware:
    image: Path
    # A supervisor that judges it, to be booted in place of a kernel.
    judge: Path
    control: Path


def prepare(toolchain, log):
    """Build all of it; return the files."""
    # Not in the cache: cargo goes by the times of files, which are those of one
    # checkout.
    target = BUILD / "firmware"
    program = target / TARGET / "release/nacl-sbi"
    if not program.is_file():
        say("firmware", "nacl-sbi, and the library it needs")
    cargo(("build",), target, toolchain, log)
    control = target / CONTROL.stem
    process.run([f"{CROSS_COMPILE}gcc", "-O2", "-Wall", "-Werror", "-static",
                 "-s", f"-I{HEADERS}", "-o", control, CONTROL],
                log, f"firmware: {CONTROL.name}")
    return Firmware(program, program.with_name("chapter15"), control)


def check(toolchain, log):
    """Run clippy over the firmware, in objects of its own."""
    cargo(("check",), BUILD / "firmware-clippy", toolchain, log,
          RUSTC_WORKSPACE_WRAPPER="/usr/bin/clippy-driver")


def cargo(command, target, toolchain, log, **variables):
    """Run a command of cargo over the firmware."""
    linker = f"CARGO_TARGET_{TARGET.upper().replace('-', '_')}_LINKER"
    environment = {
        **os.environ,
        "RUSTC": RUSTC,
        # What compiles a library anew is not stable.
        "RUSTC_BOOTSTRAP": "1",
        linker: llvm_program("ld.lld", toolchain.llvm),
        "RUSTFLAGS": "-Dwarnings",
        **variables,
    }
    process.new_log(log)
    process.run([shutil.which("cargo"), *command, *CARGO_OPTIONS,
                 "--target-dir", target], log, "firmware: cargo",
                "The crates registry must be reachable for the first build.",
                cwd=SOURCE, env=environment)
