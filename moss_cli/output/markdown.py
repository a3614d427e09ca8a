"""Markdown to be read rendered or raw: lists, wrapped at 80 columns, text escaped so that it shows as it is."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from pathlib import PurePosixPath

from moss_cli.output.cues import Cue, cues
from moss_cli.output.facts import Fact, facts, is_running_text, main_text
from moss_cli.output.text import lines, one_line
from moss_cli.output.times import human, to_ms
from moss_cli.schema import Envelope, Notice
from moss_cli.tasks.catalogue import entry

COLUMNS = 80

_SPECIAL = re.compile(r"[\\`*_<\[|~$]|&(?=#?\w+;)")
_BLOCK_START = re.compile(r"(?=[#+\-=:>])|\d+(?=[.)])")


def to_markdown(envelope: Envelope) -> str:
    """Heading, warnings, facts, then the items with their times, or the text where there are none."""
    parts = [f"# {_escape(_name(envelope)).replace('#', chr(92) + '#')}"]
    if notes := list(_notes(envelope)):
        parts.append("\n".join(_wrap(note, first="> - ", rest=">   ") for note in notes))
    parts.append("\n".join(_wrap(line, first="- ", rest="  ") for line in _head(envelope)))
    if envelope.status != "error":
        parts += [f"## {entry(envelope.task).heading}", *_body(envelope)]
    return "\n\n".join(parts) + "\n"


def _name(envelope: Envelope) -> str:
    if envelope.input is None:
        return "Question"
    return "stdin" if envelope.input.path == "-" else PurePosixPath(envelope.input.path).name


def _notes(envelope: Envelope) -> Iterator[str]:
    if envelope.status == "error":
        yield f"**Failed:** {_escape(envelope.error.message) if envelope.error else 'no result'}"
    if envelope.status == "partial":
        yield "**Partial result:** something was cut or failed."
    yield from (_note(warning) for warning in envelope.warnings)


def _note(warning: Notice) -> str:
    at = "" if warning.start is None else f" at {_range(warning.start, warning.end)}"
    return f"**Warning{at}:** {_escape(warning.message)}"


def _head(envelope: Envelope) -> Iterator[str]:
    """What was analysed, and by which model."""
    if envelope.input is not None and envelope.input.duration is not None:
        yield f"**Duration:** {human(to_ms(envelope.input.duration))}"
    if envelope.params.start is not None or envelope.params.end is not None:
        yield f"**Part:** {_range(envelope.params.start or 0.0, envelope.params.end)}"
    if is_running_text(envelope.task):
        yield from (f"**{fact.name.capitalize()}:** {_escape(', '.join(fact.values))}" for fact in facts(envelope))
    if envelope.params.question:
        yield f"**Question:** {_escape(envelope.params.question)}"
    model = envelope.model
    demo = " (demonstration model)" if model.demo else ""
    yield f"**Model:** {_escape(model.name)}{demo}, {_escape(model.dtype)} on {_escape(model.device)}"


def _body(envelope: Envelope) -> list[str]:
    timeline = entry(envelope.task).timeline
    items = [cue for cue in cues(envelope) if lines(cue.text)]
    if is_running_text(envelope.task):
        paragraphs = [] if cues(envelope) else lines(envelope.text or "")
        rows = []
    else:
        paragraphs = [text] if (text := main_text(envelope)) else []
        rows = [row for fact in facts(envelope) for row in _fact(fact)]
    parts = [_wrap(_escape(line), first="", rest="") for line in paragraphs]
    if rows:
        parts.append("\n".join(rows))
    if items and timeline and timeline.heading:
        parts.append(f"### {timeline.heading}")
    if items:
        parts.append("\n".join(row for cue in items for row in _rows(cue)))
    return parts or ["*(nothing)*"]


def _fact(fact: Fact) -> Iterator[str]:
    name = f"**{fact.name.capitalize()}:**"
    if not fact.is_list:
        yield _wrap(f"{name} {_escape(fact.values[0])}", first="- ", rest="  ")
        return
    yield f"- {name}"
    yield from (_wrap(_escape(value), first="  - ", rest="    ") for value in fact.values)


def _rows(cue: Cue) -> Iterator[str]:
    """An item, and below it its words, where their times are known."""
    yield _wrap(_item(cue), first="- ", rest="  ")
    if cue.words:
        words = " · ".join(f"{human(word.start_ms)} {_escape(word.text)}" for word in cue.words)
        yield _wrap(words, first="  - ", rest="    ")


def _item(cue: Cue) -> str:
    speaker = _escape(cue.speaker or "")
    label = f"**{speaker}:** " if speaker else ""
    return f"**{human(cue.start_ms)} – {human(cue.end_ms)}** {label}{_escape(cue.text)}"


def _range(start: float, end: float | None) -> str:
    return f"{human(to_ms(start))} – {'end' if end is None else human(to_ms(end))}"


def _escape(text: str) -> str:
    return _SPECIAL.sub(r"\\\g<0>", one_line(text))


def _wrap(text: str, *, first: str, rest: str) -> str:
    """Escaped `text` in lines of `COLUMNS`, broken at spaces only, none of which starts a block of its own."""
    rows: list[list[str]] = [[]]
    width = len(first)
    for word in text.split(" "):
        if rows[-1] and width + 1 + _columns(word) > COLUMNS:
            rows.append([])
            width = len(rest)
        if not rows[-1]:
            word = _escape_block_start(word)
        width += _columns(word) + bool(rows[-1])
        rows[-1].append(word)
    heads = [first] + [rest] * (len(rows) - 1)
    return "\n".join(head + " ".join(row) for head, row in zip(heads, rows, strict=True))


def _escape_block_start(word: str) -> str:
    match = _BLOCK_START.match(word)
    return f"{word[: match.end()]}\\{word[match.end() :]}" if match else word


def _columns(text: str) -> int:
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
