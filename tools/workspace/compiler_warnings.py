# SPDX-License-Identifier: GPL-2.0
"""A warning in a file of the project fails the step that compiles it."""

import re

from .errors import Failure

SHOWN = 20


def refuse(log, tree, directory=""):
    """Fail if a compiler, run in `directory`, warned of our files."""
    text = log.read_text(encoding="utf-8", errors="replace")
    files = found(text, tree.path, directory)
    mine = {path for path in files if path in tree.laid or path == "kvm.ko"}
    for path in mine:
        # Compiled again next time, so that the warning is seen again.
        if (tree.path / path).is_file():
            (tree.path / path).touch()
    if mine:
        raise Failure(f"There are warnings about {', '.join(sorted(mine))}:\n"
                      + _around_warnings(text), f"The whole log: {log}")


def found(text, tree, directory=""):
    """The files, relative to the tree, that a build's log has warnings for."""
    text = text.replace(f"{tree}/", "./")
    names = re.findall(r"^([^\s:]+):\d+(?::\d+)?: warning:", text, re.M)
    names += re.findall(r"^warning\b.*\n(?:.*\n)?\s*--> ([^\s:]+):\d+",
                        text, re.M)
    files = set()
    for name in names:
        plain = re.sub(r"^(\.{1,2}/)+", "", name)
        files |= {plain, f"{directory}/{plain}"} if directory else {plain}
    if re.search(r"^WARNING: modpost: .*\bkvm\b", text, re.M):
        files.add("kvm.ko")
    return files


def _around_warnings(text):
    lines = text.splitlines()
    shown = []
    for number, line in enumerate(lines):
        if "warning" in line.lower():
            shown += lines[number:number + 6]
    return "\n".join(f"    {line}" for line in shown[:SHOWN])
