"""What every format for people does to a model's text before it is written.

Control characters and lone surrogates become visible forms, byte order marks go, runs of spaces
and tabs become one space, and lines end where any Unicode line break stands. Bidirectional marks
stay: right-to-left subtitles use them.
"""

from __future__ import annotations

import re

from moss_cli.output.terminal import CONTROLS

LINE_BREAKS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"  # where str.splitlines cuts
BYTE_ORDER_MARK = "\ufeff"

_CLEAN = {code: shown for code, shown in CONTROLS.items() if chr(code) not in LINE_BREAKS + "\t"} | {
    ord(BYTE_ORDER_MARK): ""
}
_SPACES = re.compile(r"[ \t]+")


def clean(text: str) -> str:
    """`text` with nothing in it that UTF-8 or a text file cannot hold; tabs and line breaks stay."""
    return text.translate(_CLEAN)


def lines(text: str) -> list[str]:
    """The lines of `text` that have something on them."""
    stripped = (_SPACES.sub(" ", line).strip() for line in clean(text).splitlines())
    return [line for line in stripped if line]


def one_line(text: str) -> str:
    """`text` with its lines joined by spaces."""
    return " ".join(lines(text))
