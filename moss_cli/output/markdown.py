"""Markdown to be read rendered or raw: a line for each paragraph and item, text escaped so that it shows as it is.

A document of its own begins with front matter; of several on stdout, each has the same as a list. Times are links into
the recording.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from moss_cli.output.cues import Cue, cues
from moss_cli.output.facts import Fact, facts, is_running_text, main_text
from moss_cli.output.formats import COMBINED
from moss_cli.output.front_matter import front_matter
from moss_cli.output.links import Place, at_time, link_to
from moss_cli.output.text import lines, one_line
from moss_cli.output.times import human, to_ms
from moss_cli.schema import Envelope, Notice
from moss_cli.tasks.catalogue import entry

_SPECIAL = re.compile(r"[\\`*_<\[|~$]|&(?=#?\w+;)")
_BLOCK_START = re.compile(r"(?=[#+\-=:>])|\d+(?=[.)])")


def to_markdown(envelope: Envelope, place: Place = Place()) -> str:
    """Heading, warnings, facts, then the items with their times, or the text where there are none."""
    link = link_to(envelope.input, place)
    name = _escape(_name(envelope)).replace("#", r"\#").replace("]", r"\]")
    parts = [f"# {name}" if link is None else f"# [{name}]({link})"]
    if notes := list(_notes(envelope)):
        parts.append("\n".join(f"> - {note}" for note in notes))
    if facts_of_it := list(_head(envelope, is_alone=place.is_alone)):
        parts.append("\n".join(f"- {fact}" for fact in facts_of_it))
    if envelope.status != "error":
        parts += [f"## {entry(envelope.task).heading}", *_body(envelope, link)]
    front = front_matter(envelope, one_line(_name(envelope))) + "\n" if place.is_alone else ""
    return front + "\n\n".join(parts) + "\n"


def several_to_markdown(envelope: Envelope, parts: Sequence[Envelope], place: Place = Place()) -> str:
    """What several tasks say of one input: heading and warnings once, and a section for each."""
    link = link_to(envelope.input, place)
    name = _escape(_name(envelope)).replace("#", r"\#").replace("]", r"\]")
    blocks = [f"# {name}" if link is None else f"# [{name}]({link})"]
    if notes := list(_notes(envelope)):
        blocks.append("\n".join(f"> - {note}" for note in notes))
    if facts_of_it := [] if place.is_alone else list(_head(envelope, is_alone=False)):
        blocks.append("\n".join(f"- {fact}" for fact in facts_of_it))
    for one in parts:
        blocks.append(f"## {entry(one.task).heading}")
        if one.params.question:
            blocks.append(f"- **Question:** {_escape(one.params.question)}")
        failed = one.error and f"**Failed:** {_escape(one.error.message)}"
        blocks += [failed] if failed else _body(one, link)
    front = front_matter(envelope, one_line(_name(envelope))) + "\n" if place.is_alone else ""
    return front + "\n\n".join(blocks) + "\n"


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


def _head(envelope: Envelope, *, is_alone: bool) -> Iterator[str]:
    """What was asked and, where no front matter says it, what was analysed and by which model."""
    if envelope.params.question:
        yield f"**Question:** {_escape(envelope.params.question)}"
    if is_alone:
        return
    if envelope.input is not None and envelope.input.duration is not None:
        yield f"**Duration:** {human(to_ms(envelope.input.duration))}"
    if envelope.params.start is not None or envelope.params.end is not None:
        yield f"**Part:** {_range(envelope.params.start or 0.0, envelope.params.end)}"
    if envelope.task != COMBINED and is_running_text(envelope.task):
        yield from (f"**{fact.name.capitalize()}:** {_escape(', '.join(fact.values))}" for fact in facts(envelope))
    model = envelope.model
    demo = " (demonstration model)" if model.demo else ""
    yield f"**Model:** {_escape(model.name)}{demo}, {_escape(model.dtype)} on {_escape(model.device)}"


def _body(envelope: Envelope, link: str | None) -> list[str]:
    timeline = entry(envelope.task).timeline
    items = [cue for cue in cues(envelope) if lines(cue.text)]
    if is_running_text(envelope.task):
        paragraphs = [] if cues(envelope) else lines(envelope.text or "")
        rows = []
    else:
        paragraphs = [text] if (text := main_text(envelope)) else []
        rows = [row for fact in facts(envelope) for row in _fact(fact)]
    parts = [_paragraph(line) for line in paragraphs]
    if rows:
        parts.append("\n".join(rows))
    if items and timeline and timeline.heading:
        parts.append(f"### {timeline.heading}")
    if items:
        parts.append("\n".join(row for cue in items for row in _rows(cue, link)))
    return parts or ["*(nothing)*"]


def _fact(fact: Fact) -> Iterator[str]:
    name = f"**{fact.name.capitalize()}:**"
    if not fact.is_list:
        yield f"- {name} {_escape(fact.values[0])}"
        return
    yield f"- {name}"
    yield from (f"  - {_paragraph(value)}" for value in fact.values)


def _rows(cue: Cue, link: str | None) -> Iterator[str]:
    """An item, and below it its words, where their times are known."""
    speaker = _escape(cue.speaker or "")
    label = f"**{speaker}:** " if speaker else ""
    times = f"{human(cue.start_ms)} – {human(cue.end_ms)}"
    shown = f"**{times}**" if link is None else f"[{times}]({at_time(link, cue.start_ms)})"
    yield f"- {shown} {label}{_escape(cue.text)}"
    if cue.words:
        yield "  - " + " · ".join(f"{human(word.start_ms)} {_escape(word.text)}" for word in cue.words)


def _range(start: float, end: float | None) -> str:
    return f"{human(to_ms(start))} – {'end' if end is None else human(to_ms(end))}"


def _paragraph(text: str) -> str:
    """Escaped text at the beginning of a block, which it does not make another kind of."""
    escaped = _escape(text)
    match = _BLOCK_START.match(escaped)
    return f"{escaped[: match.end()]}\\{escaped[match.end() :]}" if match else escaped


def _escape(text: str) -> str:
    return _SPECIAL.sub(r"\\\g<0>", one_line(text))
