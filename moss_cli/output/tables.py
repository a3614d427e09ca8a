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

from moss_cli.output.cues import cues
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
    head, rows = _table(envelope)
    cells = [head, *([_text(row.get(name)).translate(_ESCAPES) for name in head] for row in rows)]
    return "".join("\t".join(row) + "\n" for row in cells)


def to_csv(envelope: Envelope) -> str:
    """A header line, and a record for each row."""
    head, rows = _table(envelope)
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(["\n".join(lines(_text(row.get(name)))) for name in head] for row in rows)
    return written.getvalue()


def _table(envelope: Envelope) -> tuple[list[str], list[Row]]:
    """The names of the columns, and the rows by these names."""
    task = entry(envelope.task)
    result_type = task.load().result_type
    items_field = task.timeline.field if task.timeline else None
    item_names = _item_names(result_type, items_field)
    shared = {name: name for name in result_type.model_fields if name != items_field}
    own = {name: _own_name(name, items_field, shared) for name in item_names}
    with_words = envelope.params.timestamps == "word"
    head = ["file", *own.values(), *(_WORD if with_words else ()), *shared]
    if envelope.result is None:
        return head, []
    file = "" if envelope.input is None else envelope.input.path
    whole: Row = {"file": file} | {name: getattr(envelope.result, name, None) for name in shared}
    items = getattr(envelope.result, items_field or "", ())
    shown = [item for item, cue in zip(items, cues(envelope), strict=True) if lines(cue.text)]
    rows = [row for item in shown for row in _rows(item, own, with_words=with_words)]
    without_times: Row = {"text": envelope.text} if is_running_text(envelope.task) else {}
    return head, [whole | row for row in rows or [without_times]]


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
