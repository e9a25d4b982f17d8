# SPDX-License-Identifier: GPL-2.0
"""Rust as text: its code without comments and strings, and its tokens."""

import re
from typing import NamedTuple

# A comment may have others in it; a raw string ends with as many # as it
# began with; a lifetime is no character, since no quote follows it.
OPAQUE = re.compile(
    r"""//[^\n]*
      | /\*
      | \b[bc]?r(?P<raw>\#*)"(?s:.*?)"(?P=raw)
      | "(?:\\(?s:.)|[^"\\])*"
      | '(?:\\(?:u\{[^}]*\}|x..|.)|[^'\\\n])'
    """, re.X)
COMMENT_EDGE = re.compile(r"/\*|\*/")
TOKEN = re.compile(r"(?:r#)?[A-Za-z_]\w*|::|\S")


class Token(NamedTuple):
    text: str
    line: int


def code(text: str) -> str:
    """Rust without comments and quoted text; each line stays where it is."""
    kept = []
    place = 0
    while found := OPAQUE.search(text, place):
        end = found.end()
        if found.group() == "/*":
            end = _comment_end(text, end)
        kept.append(text[place:found.start()])
        kept.append(re.sub(r"[^\n]+", " ", text[found.start():end]))
        place = end
    return "".join(kept) + text[place:]


def tokens(text: str) -> list[Token]:
    """The tokens of the code in `text`, with the lines that they are on."""
    return [Token(word, number)
            for number, line in enumerate(code(text).split("\n"), 1)
            for word in TOKEN.findall(line)]


def _comment_end(text, place):
    depth = 1
    while depth:
        edge = COMMENT_EDGE.search(text, place)
        if not edge:
            return len(text)
        depth += 1 if edge.group() == "/*" else -1
        place = edge.end()
    return place
