"""Subtitles that fit a screen: lines by their width on display, and cues of so many lines."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from itertools import accumulate, pairwise

from wcwidth import width as display_width
from wcwidth import wrap as break_up

from moss_cli.output.cues import Cue, TimedWord
from moss_cli.output.layout import Layout
from moss_cli.output.text import one_line

_WIDE = "\u1100-\u115f\u2e80-\ua4cf\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60\uffe0-\uffe6\U00020000-\U0003fffd"
# Kinsoku, after JIS X 4051: what never begins a line (closing marks, small kana, marks of length and repetition), and
# what never ends one.
_CLOSING = (
    "、。，．・：；！？‼⁇⁈⁉）］｝〕〉》」』】〙〗〟｠»’”…‥—–～〜゠·％%"
    "ぁぃぅぇぉっゃゅょゎゕゖァィゥェォッャュョヮヵヶㇰ-ㇿーゝゞヽヾ々〻"
)
_OPENING = "（［｛〔〈《「『【〘〖〝｟«‘“"
_BLANK = r"[^\S\u00a0\u2007\u202f]"  # but for what is there to hold two words together
# What a line is not broken in: a word, or an ideograph with the marks that belong to it.
_TOKEN = re.compile(
    rf"{_BLANK}+|[{_OPENING}]*(?:(?![{_WIDE}]|{_BLANK}).)+[{_CLOSING}]*(?: [!?:;»](?!\S))?"
    rf"|[{_OPENING}]*[{_WIDE}][{_CLOSING},.;:!?]*|\S",
    re.UNICODE,
)

# Netflix's Timed Text Style Guide: cues of at least 5/6 s, and 20 characters a second for adults. An ideograph counts
# as two, as it does in a line's width.
SHORTEST_PART_MS = 833
COLUMNS_PER_S = 20


def fit(cues: Iterable[Cue], layout: Layout, duration_ms: int | None = None) -> list[Cue]:
    """Cues whose lines fit and are about as long as each other; one with too many lines becomes several, in turn.

    They are timed by their words where the model gave times of these. Else the cue's time is shared out by how wide
    the lines are: a matter of display, which no other format has. What is too short to be read lasts into the pause
    that follows it, at most to the end of the file at `duration_ms`.
    """
    items = sorted(cues, key=lambda cue: cue.start_ms)
    limits: list[int | None] = [*(cue.start_ms for cue in items[1:]), duration_ms][: len(items)]
    parts: list[Cue] = []
    for cue, limit_ms in zip(items, limits, strict=True):
        end_ms = max(cue.start_ms, cue.end_ms)
        latest_ms = max(end_ms, limit_ms or 0)
        blocks = _blocks(cue.text, layout)
        times = _times(replace(cue, end_ms=end_ms), blocks, latest_ms) if len(blocks) > 1 else []
        if not times:
            text = "\n".join(blocks[0]) if blocks else ""
            times_of_one = _readable([(cue.start_ms, end_ms)], [blocks[0] if blocks else []], latest_ms)
            parts.append(replace(cue, end_ms=times_of_one[0][1], text=text))
        for block, (start_ms, until_ms), words in zip(blocks, times, _words(cue, blocks), strict=False):
            parts.append(replace(cue, start_ms=start_ms, end_ms=until_ms, text="\n".join(block), words=words))
    return parts


def _blocks(text: str, layout: Layout) -> list[list[str]]:
    """The lines of each cue that a text becomes: no more lines than it takes, and these of about the same width."""
    width, count = layout.max_line_width, layout.max_line_count
    lines = wrapped(text, width)
    if width is None or len(lines) < 2:
        return [lines] if lines else []
    count = count or len(lines)
    most = -(-len(lines) // count) * count
    narrowest = min(width, max(display_width(token) for token in tokens(one_line(text))))
    balanced = next(
        (found for columns in range(narrowest, width) if len(found := wrapped(text, columns)) <= most), lines
    )
    return [balanced[i : i + count] for i in range(0, len(balanced), count)]


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


def _times(cue: Cue, blocks: list[list[str]], latest_ms: int) -> list[tuple[int, int]]:
    """Start and end of each block of lines."""
    words = _words(cue, blocks)
    if all(words):
        times = [(own[0].start_ms, own[-1].end_ms) for own in words]
    else:
        widths = [sum(map(display_width, block)) for block in blocks]
        total, cuts = max(1, sum(widths)), [0, *accumulate(widths)]
        bounds = [cue.start_ms + (cue.end_ms - cue.start_ms) * cut // total for cut in cuts]
        times = list(pairwise(bounds))
    return _readable(_long_enough(times, cue), blocks, latest_ms)


def _long_enough(times: list[tuple[int, int]], cue: Cue) -> list[tuple[int, int]]:
    """The times moved, within their cue's, until each lasts as long as it has to, or all the same where that is not
    to be had."""
    least_ms = min(SHORTEST_PART_MS, (cue.end_ms - cue.start_ms) // len(times))
    starts = [min(max(start, cue.start_ms), cue.end_ms) for start, _ in times] + [cue.end_ms]
    for i in range(1, len(times)):
        starts[i] = max(starts[i], starts[i - 1] + least_ms)
    for i in reversed(range(len(times))):
        starts[i] = min(starts[i], starts[i + 1] - least_ms)
    return [
        (start, min(max(end, start + least_ms), following))
        for start, (_, end), following in zip(starts, times, starts[1:], strict=False)
    ]


def _readable(times: list[tuple[int, int]], blocks: list[list[str]], latest_ms: int) -> list[tuple[int, int]]:
    """The times with ends late enough to read by, as far as what follows leaves room."""
    limits = [start for start, _ in times[1:]] + [latest_ms]
    needed = (max(SHORTEST_PART_MS, sum(map(display_width, block)) * 1000 // COLUMNS_PER_S) for block in blocks)
    return [
        (start, max(end, min(start + length_ms, limit)))
        for (start, end), length_ms, limit in zip(times, needed, limits, strict=True)
    ]


def _words(cue: Cue, blocks: list[list[str]]) -> list[tuple[TimedWord, ...]]:
    """The words of each block of lines; none where the cue's words are not its text."""
    lengths = [len("".join("".join(block).split())) for block in blocks]
    words = list(cue.words)
    if sum(len("".join(word.text.split())) for word in words) != sum(lengths):
        return [()] * len(blocks)
    found, at, end = [], 0, 0
    for length in lengths:
        end += length
        own: list[TimedWord] = []
        while words and (at < end or not own):
            at += len("".join(words[0].text.split()))
            own.append(words.pop(0))
        found.append(tuple(own))
    return found
