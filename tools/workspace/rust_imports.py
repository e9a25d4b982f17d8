# SPDX-License-Identifier: GPL-2.0
"""Which file of a crate names what another one has.

By the text alone: `use` declarations, with all that is nested in them, and
paths such as `crate::mmu::tlb::fence()`. A name that a module only passes on
counts as an import from where it is defined. Methods are not seen: whoever
has a value can call them without naming anything.
"""

from dataclasses import dataclass, field
from pathlib import Path

from . import rust_text
from .imports import Import

# Modules are tuples of names: () is the crate, ("mmu", "tlb") is mmu/tlb.rs.
RELATIVE = ("crate", "self", "super")
VISIBILITY = ("(", "in")


@dataclass
class Module:
    """A file, and what its own text says about paths."""

    file: str
    path: tuple
    # Local names of what is imported; None where it is of another crate.
    bound: dict = field(default_factory=dict)
    # (line, path as written, module that it is written in) of each mention.
    imported: list = field(default_factory=list)
    mentioned: list = field(default_factory=list)


def read(directory: Path, root: str) -> list[Import]:
    """The imports between the files of the crate whose root is `root`."""
    modules = {}
    for path in sorted(directory.rglob("*.rs")):
        name = path.relative_to(directory)
        place = _module_path(name, root)
        modules[place] = _parse(path.read_text(encoding="utf-8"),
                                str(name), place)
    imports = {}
    for module in modules.values():
        for found in _resolved(module, modules):
            imports.setdefault((found.file, found.name), found)
    return sorted(imports.values(),
                  key=lambda found: (found.file, found.line, found.name))


def _module_path(name, root):
    if str(name) == root:
        return ()
    parts = name.with_suffix("").parts
    return parts[:-1] if parts[-1] == "mod" else parts


def _parse(text, file, place):
    module = Module(file, place)
    tokens = rust_text.tokens(text)
    words = [token.text for token in tokens]
    # (depth, name) of the inline modules that a token is in.
    inside = []
    depth = at = 0
    while at < len(words):
        word = words[at]
        here = place + tuple(name for _, name in inside)
        if word == "{":
            depth += 1
        elif word == "}":
            depth -= 1
            if inside and inside[-1][0] == depth:
                inside.pop()
        elif word == "mod" and words[at + 2:at + 3] == ["{"]:
            inside.append((depth, words[at + 1]))
        elif word == "use" and words[at + 1:at + 2] != ["<"]:
            at = _use(tokens, at + 1, (), here, module)
            continue
        elif _is_name(word) and words[at + 1:at + 2] == ["::"] \
                and words[at - 1:at] != ["::"]:
            path, end = _path(words, at)
            # `pub(in path)` says who may see something, and imports nothing.
            if tuple(words[max(at - 2, 0):at]) != VISIBILITY:
                module.mentioned.append((tokens[at].line, path, here))
            at = end
            continue
        at += 1
    return module


def _is_name(word):
    return word[0].isalpha() or word[0] == "_"


def _path(words, at):
    """The path that begins at a token, and where it ends."""
    path = [words[at]]
    at += 1
    while words[at:at + 1] == ["::"] and at + 1 < len(words) \
            and _is_name(words[at + 1]):
        path.append(words[at + 1])
        at += 2
    return tuple(path), at


def _use(tokens, at, prefix, here, module):
    """Parse one tree of a `use`; return where it ends."""
    line = tokens[at].line
    path = list(prefix)
    while True:
        word = tokens[at].text
        at += 1
        if word == "{":
            while tokens[at].text != "}":
                at = _use(tokens, at, tuple(path), here, module)
                if tokens[at].text == ",":
                    at += 1
            return at + 1
        if word == "*":
            module.imported.append((line, (*path, "*"), here))
            return at
        if word == "::":
            continue
        # `{self}` is what the braces stand behind.
        if word != "self" or not path:
            path.append(word)
        if tokens[at].text == "::":
            continue
        local = path[-1]
        if tokens[at].text == "as":
            local = tokens[at + 1].text
            at += 2
        module.imported.append((line, tuple(path), here))
        module.bound[local] = (tuple(path), here)
        return at


def _absolute(path, here, module, modules, seen=()):
    """A path from the crate's root, or None if it is of another crate."""
    first, *rest = path
    if first == "crate":
        return tuple(rest)
    if first in RELATIVE:
        base = here
        while path and path[0] in RELATIVE:
            base = base[:-1] if path[0] == "super" else base
            path = path[1:]
        return base + path
    if first in module.bound and first not in seen:
        bound, there = module.bound[first]
        found = _absolute(bound, there, module, modules, (*seen, first))
        return None if found is None else found + tuple(rest)
    if module.path + (first,) in modules:
        return module.path + path
    return None


def _definition(absolute, modules):
    """(the module that defines it, what is left of the path)"""
    followed = set()
    while True:
        length = max(count for count in range(len(absolute) + 1)
                     if absolute[:count] in modules)
        module, item = modules[absolute[:length]], absolute[length:]
        if not item or item[0] not in module.bound or absolute in followed:
            return module, item
        followed.add(absolute)
        path, here = module.bound[item[0]]
        found = _absolute(path, here, module, modules, (item[0],))
        if found is None:
            return module, item
        absolute = found + item[1:]


def _resolved(module, modules):
    for line, path, here in (*module.imported, *module.mentioned):
        seen = (path[0],) if (path, here) == module.bound.get(path[0]) else ()
        absolute = _absolute(path, here, module, modules, seen)
        if absolute is None:
            continue
        target, item = _definition(absolute, modules)
        # A module by whose name others are reached: they are what counts.
        if not item and any(place[:-1] == target.path and place
                            for place in modules):
            continue
        if target is not module:
            name = "::".join(("crate", *target.path, *item[:1]))
            yield Import(module.file, line, name, target.file)
