"""Plain text on a terminal: lines broken between words, what continues a column stays in it.

What breaks lines is loaded where it is needed: off a terminal it is not.
"""

from __future__ import annotations

import os
import re
from typing import TextIO

NARROWEST = 20  # columns; below, lines are left to the terminal

# What stands before a column of text: a dash, times, a name.
_HEAD = re.compile(r"  - |\s*[\d:.]+ –\s+[\d:.]+  |\[[\d:.]+ → [\d:.]+\] |\S+(?: \S+)*? {2,}")


def folded(text: str, columns: int) -> str:
    """`text` with no line wider than `columns`; lines that fit stay as they are. 0 columns: a width not known."""
    if columns < NARROWEST:
        return text
    return "".join(_folded_line(line, columns) for line in text.splitlines(keepends=True))


def hanging(text: str, columns: int, indent: int) -> str:
    """`text`, a line, with none wider than `columns`; what is broken off goes on `indent` columns from the left."""
    if columns < NARROWEST:
        return text
    from wcwidth import width as display_width

    from moss_cli.output.wrap import wrapped

    if display_width(text) <= columns:
        return text
    head, rest = text[:indent], text[indent:]
    return head + ("\n" + " " * indent).join(wrapped(rest, columns - indent))


def columns_of(stream: TextIO) -> int:
    """The width of the terminal that a stream is; 0 where it is none, or does not tell."""
    try:
        return os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        return 0


def settled(text: str) -> str:
    """What of a text's beginning is folded the same way however it goes on: all but its last word."""
    from moss_cli.output.wrap import tokens

    return "".join(tokens(text)[:-1]).rstrip()


def _folded_line(line: str, columns: int) -> str:
    from wcwidth import width as display_width

    from moss_cli.output.wrap import wrapped

    bare = line.rstrip("\n")
    if display_width(bare) <= columns:
        return line
    match = _HEAD.match(bare)
    head = match[0] if match and display_width(match[0]) <= columns // 2 else ""
    indent = display_width(head)
    rows = wrapped(bare[len(head) :], columns - indent)
    return head + ("\n" + " " * indent).join(rows) + line[len(bare) :]
