"""Tables: tab-separated and comma-separated values.

A row for each timed item, with all that is known of it and of the whole result, so that nothing of the result is lost
and rows can be sorted, filtered and joined; a row for a result that has no items. The name of the file comes first. The
columns are the same for all results of a job, so that several make one table. Times are in seconds (`1.240`). With
`--timestamps word` there is a row for each word, with its segment.

In tsv, tab, line feed, carriage return and backslash within text are written `\\t`, `\\n`, `\\r` and `\\\\`; other line
breaks as `\\n`. csv is that of RFC 4180, but for its line ends, which are line feeds.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any, get_args

from moss_cli.output.cues import cues_of
from moss_cli.output.facts import is_running_text
from moss_cli.output.text import LINE_BREAKS, clean, lines
from moss_cli.output.times import decimal_seconds, to_ms
from moss_cli.schema import Envelope, Record
from moss_cli.tasks.catalogue import entry

_ESCAPES = {ord(break_): "\\n" for break_ in LINE_BREAKS} | {ord("\r"): "\\r", ord("\t"): "\\t", ord("\\"): "\\\\"}
_WORD = ("word_start", "word_end", "word")

Row = dict[str, Any]


def to_tsv(envelope: Envelope) -> str:
    """A header line, and a line for each row."""
    return _whole(envelope, "tsv")


def to_csv(envelope: Envelope) -> str:
    """A header line, and a record for each row."""
    return _whole(envelope, "csv")


def _whole(envelope: Envelope, fmt: str) -> str:
    table = Table(fmt, envelope.task, with_words=envelope.params.timestamps == "word")
    file = "" if envelope.input is None else envelope.input.path
    if envelope.result is None:
        return table.head
    rows = table.rows(file, envelope.result)
    return table.head + (rows or table.row_without_items(file, envelope.result, envelope.text))


class Table:
    """The table of a task's results, as tsv or csv: its `head`, a line, and rows."""

    def __init__(self, fmt: str, task: str, *, with_words: bool) -> None:
        self._fmt, self._task, self._with_words = fmt, task, with_words
        timeline = entry(task).timeline
        result_type = entry(task).load().result_type
        self._field = timeline.field if timeline else None
        self._shared = {name: name for name in result_type.model_fields if name != self._field}
        names = _item_names(result_type, self._field)
        self._own = {name: _own_name(name, self._field, self._shared) for name in names}
        self._names = ["file", *self._own.values(), *(_WORD if with_words else ()), *self._shared]

    @property
    def head(self) -> str:
        return self._written({name: name for name in self._names})

    def rows(self, file: str, result: Record) -> str:
        """A row for each item of a file's result, or each word of it."""
        items = getattr(result, self._field or "", ())
        shown = [item for item, cue in zip(items, cues_of(self._task, result), strict=True) if lines(cue.text)]
        whole = self._of_all(file, result)
        found = (row for item in shown for row in _rows(item, self._own, with_words=self._with_words))
        return "".join(self._written(whole | row) for row in found)

    def row_without_items(self, file: str, result: Record, text: str | None) -> str:
        """The row of a result that has no items."""
        without_times: Row = {"text": text} if is_running_text(self._task) else {}
        return self._written(self._of_all(file, result) | without_times)

    def _of_all(self, file: str, result: Record) -> Row:
        return {"file": file} | {name: getattr(result, name, None) for name in self._shared}

    def _written(self, row: Row) -> str:
        cells = [_text(row.get(name)) for name in self._names]
        if self._fmt == "tsv":
            return "\t".join(cell.translate(_ESCAPES) for cell in cells) + "\n"
        written = io.StringIO()
        csv.writer(written, lineterminator="\n").writerow("\n".join(lines(cell)) for cell in cells)
        return written.getvalue()


def _item_names(result_type: type[Record], field: str | None) -> list[str]:
    """The fields of a timed item, its times first; words have columns of their own."""
    if field is None:
        return []
    item_type = get_args(result_type.model_fields[field].annotation)[0]
    return [name for name in item_type.model_fields if name != "words"]


def _own_name(name: str, field: str | None, shared: Row) -> str:
    """What the column of an item's field is called: `chapter_summary` where the result has a `summary` too."""
    return f"{(field or '').removesuffix('s')}_{name}" if name in shared else name


def _rows(item: Any, own: dict[str, str], *, with_words: bool) -> Iterator[Row]:
    row = {
        own[name]: _seconds(getattr(item, name)) if name in ("start", "end") else getattr(item, name) for name in own
    }
    words = (getattr(item, "words", None) or ()) if with_words else ()
    if not words:
        yield row
    for word in words:
        yield row | dict(zip(_WORD, (_seconds(word.start), _seconds(word.end), word.word), strict=True))


def _seconds(time_s: float) -> str:
    return decimal_seconds(to_ms(time_s))


def _text(value: Any) -> str:
    """A cell: nothing for null, a list with semicolons between."""
    if value is None:
        return ""
    if isinstance(value, tuple | list):
        return "; ".join(map(_text, value))
    return f"{value:g}" if isinstance(value, float) else clean(str(value)).strip()
