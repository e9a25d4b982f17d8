# SPDX-License-Identifier: GPL-2.0
"""Which Python file imports from which; inside functions, too."""

import ast
from collections.abc import Sequence
from pathlib import Path

from .imports import Import


def read(repository: Path, folders: Sequence[str]) -> list[Import]:
    """The imports between the files of packages that are at `folders`."""
    modules = {}
    for folder in folders:
        top = repository / folder
        for path in sorted(top.rglob("*.py")):
            parts = path.relative_to(top.parent).with_suffix("").parts
            if parts[-1] == "__init__":
                parts = parts[:-1]
            modules[parts] = path
    found = set()
    for parts, path in modules.items():
        package = parts if path.name == "__init__.py" else parts[:-1]
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        for node in ast.walk(tree):
            for wanted in _wanted(node, package):
                target = _longest(wanted, modules)
                if target and modules[target] != path:
                    found.add(Import(str(path.relative_to(repository)),
                                     node.lineno, ".".join(wanted),
                                     str(modules[target].relative_to(
                                         repository))))
    return sorted(found, key=lambda one: (one.file, one.line, one.name))


def _wanted(node, package):
    """The names that a statement imports, from the top."""
    if isinstance(node, ast.Import):
        return [tuple(alias.name.split(".")) for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = package[:len(package) + 1 - node.level] if node.level else ()
        base += tuple(node.module.split(".")) if node.module else ()
        return [(*base, alias.name) for alias in node.names]
    return []


def _longest(wanted, modules):
    for length in range(len(wanted), 0, -1):
        if wanted[:length] in modules:
            return wanted[:length]
    return None
