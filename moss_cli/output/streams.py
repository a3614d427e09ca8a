"""Results written while they come: as soon as the beginning of a result is certain, the beginning of its text is.

All that a stream gives, one after the other, is the beginning of what `render` makes of the whole result.
"""

from __future__ import annotations

from typing import Any, Protocol

from moss_cli.output.cues import cues_of
from moss_cli.output.facts import is_running_text
from moss_cli.output.formats import TABLES, TIMED
from moss_cli.output.layout import AS_IT_IS, Layout
from moss_cli.output.render import cue_line
from moss_cli.output.tables import Table
from moss_cli.output.text import lines, one_line
from moss_cli.tasks.reading.certain import Certain


class ResultStream(Protocol):
    """Writes one result in one format."""

    def more(self, certain: Certain[Any]) -> str:
        """The text that follows what was given before."""


def stream_of(
    fmt: str, task: str, file: str, *, timestamps: str | None = None, layout: Layout = AS_IT_IS
) -> ResultStream | None:
    """What writes the result for a file while it comes; None where nothing can be written before the whole is known.

    `timestamps` is what the task was asked for, where it has that option.
    """
    if fmt in TIMED:
        from moss_cli.output.subtitle_stream import SubtitleStream  # what it needs is slow to load
        from moss_cli.output.subtitles import SRT, VTT

        return SubtitleStream(VTT if fmt == "vtt" else SRT, task, layout)
    if not is_running_text(task):
        return None
    if fmt == "txt":
        return _TextStream() if timestamps == "none" else _LineStream(task, layout)
    if fmt in TABLES and timestamps != "none":
        return _TableStream(Table(fmt, task, with_words=timestamps == "word"), file)
    return None


class _TextStream:
    """Running text without times."""

    def __init__(self) -> None:
        self._text, self._given = "", ""

    def more(self, certain: Certain[Any]) -> str:
        self._text += certain.text
        shown = one_line(self._text)
        new, self._given = shown.removeprefix(self._given), shown
        return new


class _LineStream:
    """A line for each item."""

    def __init__(self, task: str, layout: Layout) -> None:
        self._task, self._layout = task, layout

    def more(self, certain: Certain[Any]) -> str:
        return "".join(
            cue_line(cue, self._layout) + "\n" for cue in cues_of(self._task, certain.result) if lines(cue.text)
        )


class _TableStream:
    """The head with the first row, and a row for each item."""

    def __init__(self, table: Table, file: str) -> None:
        self._table, self._file, self._head = table, file, table.head

    def more(self, certain: Certain[Any]) -> str:
        rows = self._table.rows(self._file, certain.result)
        if not rows:
            return ""
        head, self._head = self._head, ""
        return head + rows
