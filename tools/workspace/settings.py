# SPDX-License-Identifier: GPL-2.0
"""The settings that a command was given, checked before anything is done."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from . import pins
from .errors import Failure

REPOSITORY = Path(__file__).resolve().parents[2]
BUILD = REPOSITORY / "build"
LOGS = BUILD / "logs"
# The crate that tests the backend's logic without a kernel.
LOGIC = REPOSITORY / "tools/testing/logic"
# The crate that tries all orders in which threads may do things.
MODELS = REPOSITORY / "tools/testing/models"
BACKENDS = ("rust", "c")
CPUS = ("rv64", "max")
MAX_HARTS = 8
MAX_WORKERS = 64
# The features of SBI nested acceleration, in the order of their numbers.
NACL_FEATURES = ("sync_csr", "sync_hfence", "sync_sret", "autoswap_csr")

DEFAULTS = {
    "BACKEND": "rust",
    "SMP": "1",
    "HOST_SMP": "2",
    "CPU": "rv64",
    "MACHINE": "virt",
    "GUEST_MACHINE": "virt",
    "NACL": "",
    "GUEST_QEMU": next(iter(pins.GUEST_QEMU)),
    "KERNEL": "",
    "KERNEL_SRC": "",
    "KERNEL_TARBALL": "",
    "CACHE": "~/.cache/kvm-riscv-rust",
    "JOBS": str(os.cpu_count() or 1),
    # Each has a host with two harts.
    "WORKERS": str(min(os.cpu_count() or 1, 2)),
    "TIMEOUT_FACTOR": "1",
    "FULL": "0",
    "BUILD": "0",
    "TESTS": "",
    "ONE": "",
}


@dataclass(frozen=True)
class Settings:
    backend: str
    tested_backends: tuple
    smp: int
    host_smp: int
    cpu: str
    machine: str
    guest_machine: str
    nacl: str
    guest_qemu: str
    # A series, whose source is fetched; or what a module is built for. The
    # newest of either, if it is empty.
    kernel: str
    kernel_src: Path | None
    kernel_tarball: Path | None
    cache: Path
    jobs: int
    # How many hosts the tests use at a time.
    workers: int
    timeout_factor: float
    full: bool
    build_series: bool
    # An expression of pytest that selects tests; all, if it is empty.
    tests: str
    # The names of mutants, as fnmatch has them; all, if it is empty.
    one: str

    @property
    def kernel_series(self):
        """The series whose source is fetched, for a kernel of our own."""
        known = tuple(pins.KERNEL_SERIES)
        return _one_of("KERNEL", self.kernel or known[0], known)

    @property
    def for_module(self):
        """Whether KERNEL= names a kernel that others have built."""
        return bool(self.kernel) and self.kernel not in pins.KERNEL_SERIES

    @classmethod
    def from_environment(cls, environment=None):
        environment = os.environ if environment is None else environment

        def given(name):
            return environment.get(name, "").strip()

        def value(name):
            return given(name) or DEFAULTS[name]

        backend = _one_of("BACKEND", value("BACKEND"), BACKENDS)
        settings = cls(
            backend=backend,
            # Tests compare the backends, unless one of them is asked for.
            tested_backends=(backend,) if given("BACKEND") else BACKENDS,
            smp=_count("SMP", value("SMP"), MAX_HARTS),
            host_smp=_count("HOST_SMP", value("HOST_SMP"), MAX_HARTS),
            cpu=_one_of("CPU", value("CPU"), CPUS),
            machine=_machine("MACHINE", value("MACHINE")),
            guest_machine=_machine("GUEST_MACHINE", value("GUEST_MACHINE")),
            nacl=_nacl(value("NACL")),
            guest_qemu=_one_of("GUEST_QEMU", value("GUEST_QEMU"),
                               tuple(pins.GUEST_QEMU)),
            kernel=value("KERNEL"),
            kernel_src=_path("KERNEL_SRC", value("KERNEL_SRC"), Path.is_dir),
            kernel_tarball=_path("KERNEL_TARBALL", value("KERNEL_TARBALL"),
                                 Path.is_file),
            cache=Path(value("CACHE")).expanduser().absolute(),
            jobs=_count("JOBS", value("JOBS"), 1024),
            workers=_count("WORKERS", value("WORKERS"), MAX_WORKERS),
            timeout_factor=_factor(value("TIMEOUT_FACTOR")),
            full=_one_of("FULL", value("FULL"), ("0", "1")) == "1",
            build_series=_one_of("BUILD", value("BUILD"), ("0", "1")) == "1",
            tests=value("TESTS"),
            one=value("ONE"),
        )
        if settings.kernel_src and settings.kernel_tarball:
            raise Failure("KERNEL_SRC and KERNEL_TARBALL are both set.",
                          "Set one of them, or neither for Debian's source.")
        return settings


def _one_of(name, value, valid):
    if value not in valid:
        raise Failure(f"{name}={value} is not known.",
                      f"Valid: {name}={'|'.join(valid)}")
    return value


def _count(name, value, limit):
    if not re.fullmatch(r"[1-9]\d{0,4}", value) or int(value) > limit:
        raise Failure(f"{name}={value} is not a number from 1 to {limit}.",
                      f"Valid: {name}=1 to {name}={limit}")
    return int(value)


def _machine(name, value):
    # QEMU itself says which machines it has; here, only what cannot be one.
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*(,[a-z0-9._=-]+)*", value):
        raise Failure(f"{name}={value} is not a QEMU machine.",
                      f"Valid: {name}=virt, or with options: "
                      f"{name}=virt,aia=aplic")
    return value


def nacl_name(features):
    """The one name of a set of features: `none`, `all`, or joined by `+`."""
    chosen = set(features)
    if chosen == set(NACL_FEATURES):
        return "all"
    return "+".join(feature for feature in NACL_FEATURES
                    if feature in chosen) or "none"


def nacl_features(name):
    """The features that a name stands for, in their order."""
    chosen = name.split("+")
    return tuple(feature for feature in NACL_FEATURES
                 if name == "all" or feature in chosen)


def nacl_combinations():
    """All sets of features, by name."""
    for number in range(1 << len(NACL_FEATURES)):
        yield nacl_name(feature for bit, feature in enumerate(NACL_FEATURES)
                        if number >> bit & 1)


def _nacl(value):
    if value in ("", "none", "all"):
        return value
    features = value.split("+")
    unknown = [name for name in features if name not in NACL_FEATURES]
    if unknown:
        raise Failure(f"NACL={value}: {unknown[0]} is no feature of SBI nested "
                      "acceleration.",
                      "Valid: NACL=none, NACL=all, or joined by +: "
                      + ", ".join(NACL_FEATURES))
    return nacl_name(features)


def _path(name, value, exists):
    if not value:
        return None
    path = Path(value).expanduser().absolute()
    if not exists(path):
        kind = "directory" if exists is Path.is_dir else "file"
        raise Failure(f"{name}={value}: there is no such {kind}.",
                      f"Point {name}= at an existing {kind}.")
    return path


def _factor(value):
    try:
        factor = float(value)
    except ValueError:
        factor = 0.0
    if not 0 < factor <= 1000:
        raise Failure(f"TIMEOUT_FACTOR={value} is not a positive number.",
                      "Valid: TIMEOUT_FACTOR=1, 2.5, ... up to 1000")
    return factor
