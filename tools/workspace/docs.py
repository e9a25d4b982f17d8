# SPDX-License-Identifier: GPL-2.0
"""The documentation as HTML: the pages, and rustdoc of the abstractions.

Both are made by the kernel's own targets, `htmldocs` and `rustdoc`, in the
tree with the project laid over it. A warning fails.
"""

import html
import re
from pathlib import Path

from . import process
from .errors import Failure
from .settings import BUILD, LOGS
from .steps import remove, say
from .workspace import Workspace

PAGES = "virt/kvm/riscv"
OUTPUT = BUILD / "docs"
# What rustdoc's own target says of a link to a file that is not in the tree.
MISSING = re.compile(r"^warning: srctree/ link to (\S+) does not exist$", re.M)


def make(workspace: Workspace) -> Path:
    """Make both parts and the index; return the index."""
    tree = workspace.tree()
    remove(OUTPUT)
    pages = _pages(tree, OUTPUT)
    crate = _rustdoc(workspace, OUTPUT / "rust")
    index = OUTPUT / "index.html"
    index.write_text(contents({
        "KVM on RISC-V: the pages": pages.relative_to(OUTPUT),
        "kernel::kvm: the abstractions": crate.relative_to(OUTPUT),
    }), encoding="utf-8")
    return index


def contents(links: dict) -> str:
    """An HTML page with nothing but links, given as {title: path}."""
    items = "".join(
        f'<li><a href="{html.escape(str(path))}">{html.escape(title)}</a>'
        "</li>\n" for title, path in links.items())
    return ('<!DOCTYPE html>\n<meta charset="utf-8">\n'
            "<title>KVM on RISC-V, in Rust</title>\n"
            f"<h1>KVM on RISC-V, in Rust</h1>\n<ul>\n{items}</ul>\n")


def missing_links(text: str) -> list:
    """The files that rustdoc's pages link to and the tree does not have."""
    return sorted(set(MISSING.findall(text)))


def _pages(tree, output):
    """Run `make htmldocs`; Sphinx itself turns a warning into an error."""
    say("docs", f"Sphinx: Documentation/{PAGES}")
    log = LOGS / "docs-pages.log"
    objects = tree.base / "docs"
    objects.mkdir(exist_ok=True)
    process.new_log(log)
    process.run(["make", "-C", tree.path, f"O={objects}",
                 "PYTHON3=/usr/bin/python3",
                 "SPHINXBUILD=/usr/bin/sphinx-build",
                 # The Makefile overrides what the environment says.
                 "SPHINXOPTS=-W --keep-going",
                 f"SPHINXDIRS={PAGES}", f"BUILDDIR={output}", "htmldocs"],
                log, "docs: Sphinx")
    # Sphinx's own state, of no use to a reader.
    remove(output / ".doctrees")
    remove(output / "__pycache__")
    return _there(output / PAGES / "index.html", log)


def _rustdoc(workspace, output):
    """Run `make rustdoc` on the objects of the Rust backend."""
    say("docs", "rustdoc, over the kernel's crates: about 2 minutes")
    builder = workspace.builder("rust")
    builder.targets("rustdoc", f"rustdoc_output={output}", "rustdoc")
    missing = missing_links(builder.log.read_text(encoding="utf-8"))
    if missing:
        raise Failure("Comments link to files that are not in the tree: "
                      + ", ".join(missing), f"The whole log: {builder.log}")
    return _there(output / "kernel/kvm/index.html", builder.log)


def _there(page, log):
    if not page.is_file():
        raise Failure(f"{page} was not made.", f"The whole log: {log}")
    return page
