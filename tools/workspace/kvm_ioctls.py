# SPDX-License-Identifier: GPL-2.0
"""The unit tests of the crate kvm-ioctls, as one program for a host: a client of KVM
that virtual machine monitors in Rust share."""

import json
import os
import shutil
from pathlib import Path

from . import process
from .errors import Failure
from .settings import BUILD, REPOSITORY
from .steps import say
from .toolchain import CROSS_COMPILE, RUSTC

NAME = "kvm-ioctls"
# What the tests call the host that it is for.
HOST = "kvm_ioctls"
SOURCE = REPOSITORY / "tools/testing/kvm-ioctls"
TARGET = "riscv64gc-unknown-linux-gnu"
ADVICE = "The crates registry must be reachable for the first build."


def prepare(log: Path) -> Path:
    """Build the program and return it."""
    cargo = shutil.which("cargo")
    target = BUILD / NAME
    linker = f"CARGO_TARGET_{TARGET.upper().replace('-', '_')}_LINKER"
    environment = {
        **os.environ,
        "RUSTC": RUSTC,
        # The standard library for that target is in no package for this machine: it
        # is compiled with the crate, which takes what is not stable.
        "RUSTC_BOOTSTRAP": "1",
        linker: f"{CROSS_COMPILE}gcc",
        "RUSTFLAGS": "-Ctarget-feature=+crt-static",
        "CARGO_PROFILE_TEST_STRIP": "true",
    }
    if not target.is_dir():
        say(NAME, "its unit tests, and the library they need, about two minutes")
    process.new_log(log)
    process.run([cargo, "fetch", "--locked"], log, f"{NAME}: cargo fetch", ADVICE,
                cwd=SOURCE)
    process.run([cargo, "test", "--no-run", "--locked", "--target", TARGET,
                 "-Z", "build-std=std,panic_unwind,test", "--target-dir", target,
                 "--manifest-path", _manifest(cargo), "--message-format",
                 "json-render-diagnostics"],
                log, f"{NAME}: cargo test --no-run", ADVICE, cwd=SOURCE,
                env=environment)
    return _program(log)


def _manifest(cargo):
    """Return the manifest of the crate where cargo has unpacked it."""
    metadata = json.loads(process.output(
        [cargo, "metadata", "--locked", "--format-version", "1"], cwd=SOURCE))
    return next(package["manifest_path"] for package in metadata["packages"]
                if package["name"] == NAME)


def _program(log):
    """Return the one program that cargo says it has built."""
    messages = [json.loads(line) for line in
                log.read_text(encoding="utf-8", errors="replace").splitlines()
                if line.startswith("{")]
    programs = [message["executable"] for message in messages
                if message.get("executable") and message["profile"]["test"]]
    if len(programs) != 1:
        raise Failure(f"cargo has built {len(programs)} programs of {NAME}.",
                      f"The whole log: {log}")
    return Path(programs[0])
