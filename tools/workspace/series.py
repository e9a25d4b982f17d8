# SPDX-License-Identifier: GPL-2.0
"""The project as a series of patches against the pinned kernel.

series.toml says which path belongs to which patch; checkpatch.toml says what
checkpatch.pl may report. The patches are made in a git repository of their
own, which holds no other files than those that the series touches.
"""

import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from . import build, insertions, process, tables
from .errors import Failure
from .settings import BUILD, LOGS, REPOSITORY
from .steps import remove, say, write_if_changed
from .tree import Tree
from .workspace import Workspace

TABLE = Path(__file__).with_name("series.toml")
EXCEPTIONS = Path(__file__).with_name("checkpatch.toml")
OUTPUT = BUILD / "series"
OPTION = build.SYMBOL.removeprefix("CONFIG_")
REPORT = re.compile(
    r"^(?:ERROR|WARNING|CHECK):([A-Z0-9_]+): (.*)\n"
    r"(?:#\d+: FILE: (\S+?):(\d+):)?", re.M)


@dataclass
class Patch:
    """One patch: its message, and the patterns of its paths."""

    subject: str
    body: str
    patterns: list
    paths: list = field(default_factory=list)


@dataclass(frozen=True)
class Report:
    """What checkpatch.pl said once; without a path, of the patch itself."""

    type: str
    text: str
    path: str
    line: str

    def __str__(self):
        where = f"{self.path}:{self.line}: " if self.path else ""
        return f"{where}{self.type}: {self.text}"


def make(workspace: Workspace) -> None:
    """Make the series in build/series/, and check it."""
    tree = workspace.tree()
    pristine = workspace.settings.kernel_src or tree.base / "pristine"
    cover, patches = read()
    assign(patches, [*tree.laid, *insertions.read()])
    log = LOGS / "series.log"
    process.new_log(log)
    files = _format(tree, pristine, cover, patches, log)
    say("series", f"{len(files)} patches in {OUTPUT}, against Linux "
                  f"{tree.version}; they apply")
    _checkpatch(tree, files)
    if workspace.settings.build_series:
        _build(workspace, tree, pristine, files, log)
    else:
        say("series", "not compiled; `make series BUILD=1` does that")
    print(f"series: {OUTPUT}")


def read(table: Path = TABLE) -> tuple[str, list[Patch]]:
    """The cover letter, and the patches in their order."""
    content = tables.load(table)
    return content["cover"].strip(), [
        Patch(entry["subject"], entry["body"].strip(), entry["paths"])
        for entry in content["patch"]]


def assign(patches: list[Patch], paths: Iterable[str]) -> None:
    """Give each path to the one patch that has a pattern for it."""
    unused = {pattern for patch in patches for pattern in patch.patterns}
    wrong = []
    for path in sorted(paths):
        owners = []
        for patch in patches:
            found = {pattern for pattern in patch.patterns
                     if fnmatchcase(path, pattern)}
            unused -= found
            if found:
                owners.append(patch)
        if len(owners) == 1:
            owners[0].paths.append(path)
        else:
            wrong.append(f"{path} belongs to {len(owners)} patches")
    wrong += [f"no path matches {pattern}" for pattern in sorted(unused)]
    if wrong:
        raise Failure("Each path must belong to exactly one patch:\n    "
                      + "\n    ".join(wrong), f"Correct {TABLE.name}.")


def reports(output: str) -> list[Report]:
    """What checkpatch.pl reported."""
    return [Report(kind, text, path or "", line or "")
            for kind, text, path, line in REPORT.findall(output)]


def unexpected(found: list[Report], exceptions: list[dict]) -> list[str]:
    """Reports that no exception covers, and exceptions without a report."""
    wrong = []
    unused = list(exceptions)
    for report in found:
        covering = [entry for entry in exceptions if _covers(entry, report)]
        if not covering:
            wrong.append(str(report))
        unused = [entry for entry in unused if entry not in covering]
    wrong += [f"{entry['type']} in {' '.join(entry.get('paths', ['any']))}: "
              "listed, and not reported any more" for entry in unused]
    return wrong


def _covers(exception, report):
    paths = exception.get("paths")
    return exception["type"] == report.type and (
        paths is None
        or any(fnmatchcase(report.path, pattern) for pattern in paths))


def _format(tree, pristine, cover, patches, log):
    """Commit patch by patch; return the files that git makes of that."""
    scratch = BUILD / "series-scratch"
    remove(scratch)
    remove(OUTPUT)
    scratch.mkdir(parents=True)
    git = _Git(scratch, log)
    git("init", "--initial-branch=base")
    for path in insertions.read():
        _copy(pristine / path, scratch / path)
    git("add", "--all")
    git("commit", "-m", f"Linux {tree.version}")
    git("checkout", "-b", "series")
    git("config", "branch.series.description", cover)
    for patch in patches:
        for path in patch.paths:
            _copy(tree.path / path, scratch / path)
        git("add", "--all")
        git("commit", "--signoff", "-m", patch.subject, "-m", patch.body)
    git("format-patch", "--cover-letter", "--no-signature", "--zero-commit",
        "--cover-from-description=subject", "-o", OUTPUT, "base..series")
    files = sorted(OUTPUT.glob("*.patch"))[1:]
    # They must give back what they were made of.
    git("checkout", "-b", "applied", "base")
    git("am", *files)
    git("diff", "--exit-code", "series", "applied")
    remove(scratch)
    return files


class _Git:
    """git in one directory, whatever the user's configuration is."""

    def __init__(self, directory, log):
        self.directory = directory
        self.log = log
        author = process.output(
            ["git", "-C", REPOSITORY, "var", "GIT_AUTHOR_IDENT"])
        name, address = re.match(r"(.*) <(.*)>", author).groups()
        date = process.output(
            ["git", "-C", REPOSITORY, "log", "-1", "--format=%aI"]).strip()
        self.environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null",
                            "GIT_CONFIG_SYSTEM": "/dev/null"}
        # The same project gives the same patches.
        for role in ("AUTHOR", "COMMITTER"):
            self.environment |= {f"GIT_{role}_NAME": name,
                                 f"GIT_{role}_EMAIL": address,
                                 f"GIT_{role}_DATE": date}

    def __call__(self, *arguments):
        process.run(["git", *arguments], self.log, f"series: {arguments[0]}",
                    cwd=self.directory, env=self.environment)


def _checkpatch(tree, files):
    """Run checkpatch.pl over all patches; refuse what is not listed."""
    log = LOGS / "checkpatch.log"
    process.new_log(log)
    process.run(["perl", tree.path / "scripts/checkpatch.pl", "--strict",
                 "--show-types", "--color=never", f"--root={tree.path}",
                 *files], log, "series: checkpatch.pl", check=False,
                cwd=tree.path)
    text = log.read_text(encoding="utf-8", errors="replace")
    if len(re.findall(r"^total: ", text, re.M)) != len(files):
        raise Failure("checkpatch.pl has not looked at every patch:\n"
                      + process.last_lines(log))
    exceptions = tables.load(EXCEPTIONS).get("exception", [])
    found = reports(text)
    wrong = unexpected(found, exceptions)
    if wrong:
        raise Failure(f"checkpatch.pl --strict and {EXCEPTIONS.name} do not "
                      "agree:\n    " + "\n    ".join(wrong),
                      f"Mend the file, or correct {EXCEPTIONS.name}. "
                      f"The whole log: {log}")
    say("series", f"checkpatch.pl --strict: {len(found)} reports, each listed "
                  f"with a reason in {EXCEPTIONS.name}")


def _build(workspace, tree, pristine, files, log):
    """Compile arch/riscv/kvm and rust after each patch."""
    base = tree.base / "series"
    remove(base)
    base.mkdir()
    copy = base / "tree"
    # Links: nothing below writes to a file in its place.
    process.run(["cp", "-al", tree.path, copy], log, "series: linking a tree")
    for path in tree.laid:
        remove(copy / path)
    for path in insertions.read():
        write_if_changed(copy / path, (pristine / path).read_bytes())
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(base)}
    for number, file in enumerate(files, 1):
        process.run(["git", "apply", file], log, f"series: {file.name}",
                    cwd=copy, env=environment)
        laid = tuple(path for path in tree.laid if (copy / path).is_file())
        backends = ["c"]
        if any(path.endswith("Kconfig.rust") for path in laid):
            backends.append("rust")
        for backend in backends:
            say("series", f"{number}/{len(files)}: compiling with "
                          f"{OPTION}={'y' if backend == 'rust' else 'n'}")
            builder = build.Builder(
                Tree(base, tree.version, laid), workspace.toolchain(),
                backend, workspace.settings.jobs, LOGS,
                purpose=f"series-{backend}")
            builder.targets(file.name, "rust/", "arch/riscv/kvm/")
            module = builder.objects / "arch/riscv/kvm/kvm.o"
            if not module.is_file():
                raise Failure(f"{module} was not made.",
                              f"The whole log: {builder.log}")
    remove(base)
    say("series", "each patch compiles")


def _copy(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
