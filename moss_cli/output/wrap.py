"""Subtitles that fit a screen: lines by their width on display, and cues of so many lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from wcwidth import width as display_width
from wcwidth import wrap as break_up

from moss_cli.output.cues import Cue, TimedWord
from moss_cli.output.text import one_line

_WIDE = "\u1100-\u115f\u2e80-\ua4cf\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60\uffe0-\uffe6\U00020000-\U0003fffd"
_CLOSING = "、。，．：；！？）］｝」』】》〉”’…—～·%"  # never begin a line
_OPENING = "（［｛「『【《〈“‘"  # never end one
# What a line is not broken in: a word, or an ideograph with the marks that belong to it.
_TOKEN = re.compile(
    rf"\s+|[{_OPENING}]*[{_WIDE}][{_CLOSING},.;:!?]*|[{_OPENING}]*(?:(?![{_WIDE}])\S)+[{_CLOSING}]*|\S", re.UNICODE
)


@dataclass(frozen=True)
class Layout:
    """Columns of a line (an ideograph takes two) and lines of a cue; None: as many as there are."""

    max_line_width: int | None = None
    max_line_count: int | None = None


def fit(cues: Iterable[Cue], layout: Layout) -> Iterator[Cue]:
    """Cues whose lines fit; one with too many lines becomes several, one after another.

    They are timed by their words where the model gave times of these. Else the cue's time is shared out by how
    wide the lines are: a matter of display, which no other format has.
    """
    for cue in cues:
        lines = wrapped(cue.text, layout.max_line_width)
        count = layout.max_line_count or max(1, len(lines))
        blocks = [lines[i : i + count] for i in range(0, len(lines), count)]
        if len(blocks) < 2:
            yield replace(cue, text="\n".join(lines))
            continue
        for block, (start_ms, end_ms) in zip(blocks, _times(cue, blocks), strict=True):
            yield replace(cue, start_ms=start_ms, end_ms=end_ms, text="\n".join(block), words=())


def tokens(text: str) -> list[str]:
    """What a line is not broken in, in order, blanks among them."""
    return _TOKEN.findall(text)


def wrapped(text: str, width: int | None) -> list[str]:
    """The lines of a text, none wider than `width` columns, broken between words or ideographs where they can be."""
    text = one_line(text)
    if width is None:
        return [text]
    lines, line = [], ""
    for token in tokens(text):
        if display_width(line + token.rstrip()) <= width:
            line += token if line or not token.isspace() else ""
            continue
        if line.strip():
            lines.append(line.rstrip())
        line = token.lstrip()
        if display_width(line) > width:
            *whole, line = break_up(line, width)
            lines += whole
    return [*lines, line.rstrip()] if line.strip() else lines


def _times(cue: Cue, blocks: list[list[str]]) -> list[tuple[int, int]]:
    """Start and end of each block of lines."""
    ends = list(_ends(blocks))
    if cue.words and len("".join(word.text for word in cue.words).replace(" ", "")) == ends[-1]:
        return _by_words(cue, ends)
    widths = [sum(map(display_width, block)) for block in blocks]
    total, at, times = max(1, sum(widths)), 0, []
    for width in widths:
        cuts = [cue.start_ms + (cue.end_ms - cue.start_ms) * part // total for part in (at, at + width)]
        times.append((cuts[0], cuts[1]))
        at += width
    return times


def _ends(blocks: list[list[str]]) -> Iterator[int]:
    """How many characters other than spaces each block ends after."""
    at = 0
    for block in blocks:
        at += len("".join(block).replace(" ", ""))
        yield at


def _by_words(cue: Cue, ends: list[int]) -> list[tuple[int, int]]:
    times, at, words = [], 0, list(cue.words)
    for end in ends:
        own: list[TimedWord] = []
        while words and (at < end or not own):
            at += len(words[0].text.replace(" ", ""))
            own.append(words.pop(0))
        times.append((own[0].start_ms, own[-1].end_ms) if own else (cue.end_ms, cue.end_ms))
    return times
