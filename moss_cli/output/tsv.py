"""Tab-separated values: whisper's columns, with times in seconds (`1.240`).

Tab, line feed, carriage return and backslash within text are written `\\t`, `\\n`, `\\r` and `\\\\`; other
line breaks as `\\n`. Text without times has a row a line, with empty times.
"""

from __future__ import annotations

from moss_cli.output.cues import Cue, cues
from moss_cli.output.text import LINE_BREAKS, clean, lines
from moss_cli.output.times import decimal_seconds
from moss_cli.schema import Envelope

_ESCAPES = {ord(break_): "\\n" for break_ in LINE_BREAKS} | {ord("\r"): "\\r", ord("\t"): "\\t", ord("\\"): "\\\\"}


def to_tsv(envelope: Envelope) -> str:
    """A header line, and a line for each timed item."""
    items = [cue for cue in cues(envelope) if lines(cue.text)]
    with_speakers = any(cue.speaker for cue in items)
    rows = [["start", "end", "text", "speaker"]]
    rows += [_row(cue) for cue in items]
    if not items:
        rows += [["", "", _cell(line), ""] for line in lines(envelope.text or "")]
    return "".join("\t".join(row if with_speakers else row[:3]) + "\n" for row in rows)


def _row(cue: Cue) -> list[str]:
    return [decimal_seconds(cue.start_ms), decimal_seconds(cue.end_ms), _cell(cue.text), _cell(cue.speaker or "")]


def _cell(text: str) -> str:
    return clean(text).strip().translate(_ESCAPES)
