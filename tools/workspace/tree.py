# SPDX-License-Identifier: GPL-2.0
"""The kernel tree with the project laid over it.

The tree lives in the cache, at a place that depends on the kernel and on the
compilers and not on the checkout, so that another clone finds its objects
fresh. Files are compared by content: what did not change keeps its time.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from . import insertions, kernel, process
from .errors import Failure
from .settings import REPOSITORY
from .steps import digest, remove, say, whole, write_if_changed

# Below these, a file of the repository has the path that it has in the tree.
SHARED = ("arch", "rust", "Documentation", "tools/testing/selftests")
# Files that a series of the kernel needs, in a directory of its name.
OF_SERIES = insertions.KERNELS.relative_to(REPOSITORY)
RENAMED = {"Kconfig": "arch/riscv/kvm/Kconfig.rust"}
IGNORED_SUFFIXES = ("~", ".swp", ".orig", ".rej", ".o", ".pyc")


@dataclass(frozen=True)
class Tree:
    """A laid-over kernel; objects are built beside it."""

    base: Path
    version: str
    laid: tuple

    @property
    def path(self):
        return self.base / "tree"


def prepare(settings, toolchain, log):
    source = kernel.find(settings, log)
    key = digest(source.identity, toolchain.versions,
                 " ".join(toolchain.make_variables))
    name = source.identity.replace("~", "-").replace("+", "-")
    base = settings.cache / "linux" / f"{name}-{key[:8]}"
    path = base / "tree"
    manifest = Manifest(base / "laid-over.json")
    if source.is_tree:
        version = kernel.version_of(source.path)
        _follow(source.path, path, manifest, version, log)
        pristine = source.path
    else:
        if not path.is_dir():
            _unpack(source, path, log)
        version = kernel.version_of(path)
        pristine = base / "pristine"
    changed = lay_over(REPOSITORY, path, pristine, manifest, version)
    if changed:
        say("tree", f"{changed} files laid over Linux {version}")
    files = project_files(REPOSITORY, kernel.series_of(version))
    return Tree(base, version, tuple(sorted(files)))


def _unpack(source, path, log):
    try:
        with whole(path) as partial:
            partial.mkdir()
            source.unpack(partial, log)
            kernel.series_of(kernel.version_of(partial))
    except BaseException:
        path.parent.rmdir()
        raise


def project_files(repository, series):
    """{path in the tree: file in the repository} for a series of the kernel.

    What stands for a series alone takes the place of the file of that path.
    """
    files = {}
    for base in (repository, repository / OF_SERIES / series):
        for top in SHARED:
            for path in sorted((base / top).rglob("*")):
                if path.is_file() and not path.name.endswith(IGNORED_SUFFIXES):
                    files[str(path.relative_to(base))] = path
    for name, target in RENAMED.items():
        if (repository / name).is_file():
            files[target] = repository / name
    return files


class Manifest:
    """What an earlier lay-over put into the tree: {path: its hashes}.

    While files are being written, the hashes of both the old and the new
    content stand here, so that an interrupted run is understood by the next.
    """

    def __init__(self, path):
        self.path = path
        try:
            self.files = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            self.files = {}

    def write(self, files):
        self.files = files
        text = json.dumps(files, indent=1, sort_keys=True) + "\n"
        write_if_changed(self.path, text.encode())


def lay_over(repository, tree, pristine, manifest, version):
    """Lay the project over `tree`; return how many files changed."""
    series = kernel.series_of(version)
    wanted = {path: file.read_bytes()
              for path, file in project_files(repository, series).items()}
    inserted = {}
    for path, entries in insertions.of_series(series).items():
        upstream = _upstream(path, tree, pristine, manifest, version)
        inserted[path] = insertions.apply(
            upstream.decode(), entries, version).encode()
    for path in wanted:
        _refuse_upstream(path, tree, pristine, inserted, manifest, version)
    wanted |= inserted

    for path, hashes in manifest.files.items():
        _refuse_edited(repository, tree, path, hashes, wanted.get(path))
    new = {path: [_hash(data)] for path, data in wanted.items()}
    old = {path: [_hash((pristine / path).read_bytes())] for path in inserted}
    old |= manifest.files
    manifest.write({path: old.get(path, []) + new.get(path, [])
                    for path in {*old, *new}})
    changed = 0
    for path in set(manifest.files) - set(wanted):
        upstream = pristine / path
        if upstream.is_file():
            write_if_changed(tree / path, upstream.read_bytes())
        else:
            remove(tree / path)
        changed += 1
    for path, data in wanted.items():
        changed += write_if_changed(tree / path, data)
    manifest.write(new)
    return changed


def _upstream(path, tree, pristine, manifest, version):
    """The upstream content of a file; a copy of it is kept."""
    copy = pristine / path
    if not copy.is_file():
        original = tree / path
        if not original.is_file() or path in manifest.files:
            raise Failure(f"Linux {version} has no {path}, where lines are to "
                          "be inserted.",
                          "Correct that entry of insertions.toml.")
        write_if_changed(copy, original.read_bytes())
    return copy.read_bytes()


def _refuse_upstream(path, tree, pristine, inserted, manifest, version):
    is_upstream = (path in inserted or (pristine / path).exists()
                   or ((tree / path).exists() and path not in manifest.files))
    if is_upstream:
        raise Failure(f"{path} is a file of Linux {version}, which the "
                      "project may not replace.",
                      "Give the project's file another name; lines that an "
                      "upstream file needs belong into insertions.toml.")


def _refuse_edited(repository, tree, path, hashes, wanted):
    """Work done in the tree is not overwritten."""
    file = tree / path
    if not file.is_file():
        return
    data = file.read_bytes()
    if data != wanted and _hash(data) not in hashes:
        raise Failure(
            f"{file} was edited in the tree, and would be overwritten.",
            f"Keep the edit: copy it to {repository}/ and try again. "
            f"Drop it: remove the file and try again.")


def _follow(source, tree, manifest, version, log):
    """Copy what changed in KERNEL_SRC, leaving the project's files alone."""
    tree.mkdir(parents=True, exist_ok=True)
    excluded = tree.parent / "excluded"
    excluded.write_text("".join(f"/{path}\n" for path in manifest.files),
                        encoding="utf-8")
    process.run(["rsync", "-a", "--delete", "--exclude=.git",
                 f"--exclude-from={excluded}", f"{source}/", tree],
                log, "tree: following KERNEL_SRC")
    for path in insertions.of_series(kernel.series_of(version)):
        # A file that is in the manifest is excluded above: lay_over reads its
        # upstream content from the source itself.
        if not (source / path).is_file():
            raise Failure(f"{source} has no {path}.",
                          "Point KERNEL_SRC= at a full kernel tree.")


def _hash(data):
    return hashlib.sha256(data).hexdigest()
