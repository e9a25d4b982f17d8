# SPDX-License-Identifier: GPL-2.0
"""The step that installs what the machine lacks, and only that."""

import importlib
import os
import shutil

from . import apt, pins, process
from .errors import Failure
from .steps import say


def prepare(cache, log, extra=()):
    """Install the missing packages; return what this release is like."""
    release = _release()
    plain = [*pins.COMMON_PACKAGES, *release["packages"], *extra]
    qemu = list(release["qemu_packages"])
    if not shutil.which("cargo"):
        plain.append(release["cargo_package"])
    missing = _missing(plain)
    # All of QEMU's, or none: they must be of one version.
    missing_qemu = qemu if _missing(qemu) else []
    if missing or missing_qemu:
        suite = release["qemu_suite"] if missing_qemu else None
        say("packages", "missing: " + " ".join(missing + missing_qemu))
        state = apt.native_state(cache, suite)
        state.update(log, "packages: lists")
        if missing:
            _install(state, missing, log)
        if missing_qemu:
            # By name and suite: a preference for the whole suite would take
            # newer libraries from it than the other packages agree with.
            _install(state, [f"{name}/{suite}" if suite else name
                             for name in missing_qemu], log)
        importlib.invalidate_caches()
    return release


def _release():
    if not shutil.which("dpkg-query"):
        raise Failure("This is not a Debian system: there is no dpkg.",
                      "The workspace runs on Debian 12 and 13.")
    return pins.RELEASES.get(apt.release(), pins.NEWER_RELEASE)


def _missing(packages):
    shown = process.run_quietly(
        ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n",
         *packages])
    there = {line.split()[0] for line in shown.splitlines()
             if line.endswith(" installed")}
    return [package for package in packages if package not in there]


def _install(state, packages, log):
    root = _as_root()
    # What an interrupted run has left half-installed would stop apt.
    process.run([*root, "dpkg", "--configure", "-a"], log,
                "packages: dpkg --configure -a")
    process.run(
        [*root, "env", "DEBIAN_FRONTEND=noninteractive",
         "apt-get", *state.lists, "install", "-y", "--no-remove",
         "--no-install-recommends", *packages],
        log, "packages: install",
        "If the archive cannot be reached, try again later. If apt would have "
        "to remove packages, install these by hand: " + " ".join(packages))


def _as_root():
    if os.geteuid() == 0:
        return []
    if not shutil.which("sudo"):
        raise Failure("Packages are missing, and only root can install them.",
                      "Run the command as root, or install sudo.")
    # The question for a password needs the terminal to itself.
    process.in_foreground(["sudo", "-v"])
    return ["sudo", "-n"]
