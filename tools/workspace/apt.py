# SPDX-License-Identifier: GPL-2.0
"""Debian packages through an apt state of our own.

The machine's own apt configuration is read, for its mirror and its keys, and
never written. What it does not list (a newer suite, another architecture) is
asked for through lists, caches and a sources file below the cache directory.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from . import pins, process
from .errors import Failure
from .steps import digest, say, whole, write_if_changed

APT_DIRECTORY = Path("/etc/apt")
ONE_LINE = re.compile(
    r"\s*deb\s+(?:\[([^]]*)\]\s+)?(\S+)\s+(\S+)\s+([^#]+)")


@dataclass(frozen=True)
class Source:
    """One of the machine's apt sources that is a mirror of Debian."""

    uris: tuple
    suites: tuple
    components: tuple
    signed_by: str | None

    def stanza(self, suites=None, components=None):
        lines = [
            "Types: deb",
            f"URIs: {' '.join(self.uris)}",
            f"Suites: {' '.join(suites or self.suites)}",
            f"Components: {' '.join(components or self.components)}",
        ]
        if self.signed_by:
            lines.append(f"Signed-By: {self.signed_by}")
        return "\n".join(lines) + "\n"


def machine_sources(directory=APT_DIRECTORY):
    """The machine's Debian sources, in both formats that apt reads."""
    found = []
    parts = sorted((directory / "sources.list.d").glob("*"))
    for path in [directory / "sources.list", *parts]:
        if not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        if path.suffix == ".sources":
            found += _stanzas(text)
        elif path.suffix == ".list":
            found += _one_lines(text)
    sources = [source for source in found if _is_debian(source)]
    if not sources:
        raise Failure(
            f"No Debian mirror is among the apt sources in {directory}.",
            "The workspace runs on Debian 12 and 13. Add the machine's "
            f"mirror to {directory}/sources.list.d/ and try again.")
    return sources


def release(sources=None):
    """The codename of the Debian release that the machine installs from."""
    for source in sources or machine_sources():
        for suite in source.suites:
            if suite in ("bookworm", "trixie", "forky", "sid"):
                return suite
    text = Path("/etc/os-release").read_text(encoding="utf-8")
    named = re.search(r"^VERSION_CODENAME=(\S+)", text, re.M)
    return named.group(1).strip('"') if named else "sid"


def architecture():
    """What dpkg calls the machine's own architecture."""
    return process.output(["dpkg", "--print-architecture"]).strip()


def mirror(sources=None):
    """The source that other suites of the same archive are derived from."""
    def rank(source):
        # An archive's own key first: a third party may use Debian's names.
        official = "debian-archive" in (source.signed_by or "")
        plain = any(suite in pins.SUITE_NAMES for suite in source.suites)
        return (not plain, not official, source.signed_by is not None)

    return min(sources or machine_sources(), key=rank)


class State:
    """Lists and downloads of some suites, apart from the machine's own."""

    def __init__(self, directory, sources, architecture=None):
        self.directory = Path(directory)
        self.sources = sources
        self.architecture = architecture
        for name in ("lists/partial", "cache/archives/partial", "state"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        self.sources_file = self.directory / "machine.sources"
        self.empty = self.directory / "empty"
        self.empty.touch()
        write_if_changed(self.sources_file, sources.encode())

    @property
    def lists(self):
        """Options for an apt that installs on this machine from our lists."""
        return [
            "-o", f"Dir::State::lists={self.directory}/lists",
            "-o", f"Dir::Etc::sourcelist={self.sources_file}",
            "-o", "Dir::Etc::sourceparts=-",
            "-o", "Dir::Cache::pkgcache=",
            "-o", "Dir::Cache::srcpkgcache=",
            "-o", "Acquire::Languages=none",
            "-o", "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
            "-o", "APT::Sandbox::User=",
        ]

    @property
    def options(self):
        """Options for an apt that knows of nothing but our lists."""
        options = [
            *self.lists,
            "-o", f"Dir::State={self.directory}/state",
            "-o", f"Dir::State::status={self.empty}",
            "-o", f"Dir::Cache={self.directory}/cache",
        ]
        if self.architecture:
            options += ["-o", f"APT::Architecture={self.architecture}",
                        "-o", f"APT::Architectures={self.architecture}"]
        return options

    def update(self, log, what):
        """Fetch the lists. One dead source is no reason to give up: whether
        the wanted packages can be had is what the caller finds out."""
        process.run(["apt-get", *self.options, "update"], log, what,
                    check=False)

    def versions(self, pattern):
        """{name: newest version} of the packages whose name matches."""
        names = process.output(
            ["apt-cache", *self.options, "search", "--names-only", pattern])
        versions = {}
        for line in names.splitlines():
            name = line.split(" ")[0]
            shown = process.output(["apt-cache", *self.options, "show",
                                    "--no-all-versions", name])
            version = re.search(r"^Version: (\S+)", shown, re.M)
            if version:
                versions[name] = version.group(1)
        return versions

    def download_closure(self, packages, log, what):
        """Download packages and all that they depend on; return the files."""
        archives = self.directory / "cache/archives"
        for old in archives.glob("*.deb"):
            old.unlink()
        process.run(
            ["apt-get", *self.options, "install", "--no-install-recommends",
             "--download-only", "-y", *packages], log, what)
        return sorted(archives.glob("*.deb"))

    def download(self, package, directory, log, what):
        """Download one package into `directory`, which appears complete."""
        with whole(directory) as partial:
            partial.mkdir()
            process.run(["apt-get", *self.options, "download", package], log,
                        what, cwd=partial)
        return next(Path(directory).glob("*.deb"))


def suite_state(cache, suite, architecture=None):
    """The state of one suite of the archive that the machine mirrors."""
    text = mirror().stanza(suites=[suite], components=["main"])
    name = "-".join(filter(None, (suite, architecture, digest(text)[:6])))
    return State(Path(cache) / "apt" / name, text, architecture)


def native_state(cache, extra_suite=None):
    """The machine's own Debian sources, and one more suite if need be."""
    sources = machine_sources()
    text = "\n".join(source.stanza() for source in sources)
    known = {suite for source in sources for suite in source.suites}
    if extra_suite and extra_suite not in known:
        say("packages", f"{extra_suite} is read from the machine's mirror, "
                        "apart from its own apt sources")
        text += "\n" + mirror(sources).stanza(suites=[extra_suite],
                                              components=["main"])
    return State(Path(cache) / "apt" / f"native-{digest(text)[:6]}", text)


def _is_debian(source):
    suites = {re.sub(r"(-proposed)?-(security|updates|backports)$|/updates$",
                     "", suite) for suite in source.suites}
    return "main" in source.components and suites <= set(pins.SUITE_NAMES)


def _stanzas(text):
    text = "\n".join(line for line in text.splitlines()
                     if not line.startswith("#"))
    for block in re.split(r"\n\s*\n", text):
        fields = {}
        name = None
        for line in block.splitlines():
            if line[:1].isspace() and name:
                fields[name] += "\n" + line
            elif ":" in line:
                name, value = line.split(":", 1)
                name = name.lower()
                fields[name] = value.strip()
        if fields.get("enabled", "yes").lower() in ("no", "false", "0"):
            continue
        if "deb" not in fields.get("types", "").split():
            continue
        yield Source(tuple(fields.get("uris", "").split()),
                     tuple(fields.get("suites", "").split()),
                     tuple(fields.get("components", "").split()),
                     fields.get("signed-by"))


def _one_lines(text):
    for line in text.splitlines():
        match = ONE_LINE.match(line)
        if not match:
            continue
        options, uri, suite, components = match.groups()
        key = re.search(r"signed-by=(\S+)", options or "")
        yield Source((uri,), (suite,), tuple(components.split()),
                     key.group(1).replace(",", " ") if key else None)
