"""One result in one format."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from moss_cli.errors import UsageError
from moss_cli.output.combined import parts_of
from moss_cli.output.cues import Cue, cues
from moss_cli.output.facts import Fact, facts, is_running_text, main_text
from moss_cli.output.formats import COMBINED, FORMATS
from moss_cli.output.layout import AS_IT_IS, Layout
from moss_cli.output.links import Place
from moss_cli.output.markdown import several_to_markdown, to_markdown
from moss_cli.output.tables import to_csv, to_tsv
from moss_cli.output.text import lines, one_line
from moss_cli.output.times import human, stamp
from moss_cli.schema import Envelope
from moss_cli.tasks.catalogue import entry

_SURROGATES = re.compile(r"[\ud800-\udfff]")
# What json.dumps leaves as it is although it drives terminals or ends a line for some readers.
_UNESCAPED = re.compile(r"[\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def render(envelope: Envelope, fmt: str, layout: Layout = AS_IT_IS, place: Place = Place()) -> str:
    """The text of a result, ending in a line feed; nothing where the format has nothing for it.

    `layout` is that of subtitles and txt, `place` that of md. Always encodable as UTF-8. Raises UsageError for a format
    that is none of FORMATS.
    """
    if envelope.task == COMBINED and fmt != "json":
        return _of_several(envelope, fmt, layout, place)
    if fmt in _LAID_OUT:
        return _LAID_OUT[fmt](envelope, layout)
    if fmt == "md":
        return to_markdown(envelope, place)
    if fmt not in _WRITERS:
        raise UsageError(f"unknown format: {fmt}", hint=f"one of {', '.join(FORMATS)}")
    return _WRITERS[fmt](envelope)


def _of_several(envelope: Envelope, fmt: str, layout: Layout, place: Place) -> str:
    """What several tasks say: in txt each below a heading, in jsonl a line for each, in md one document."""
    parts = parts_of(envelope) if envelope.status != "error" else []
    if fmt == "md":
        return several_to_markdown(envelope, parts, place)
    if fmt == "jsonl":
        return "".join(map(_jsonl, parts or [envelope]))
    if fmt != "txt":
        raise UsageError(f"several tasks cannot be written as {fmt}", hint="use txt, json, jsonl or md")
    return "\n".join(f"--- {entry(one.task).heading} ---\n{_said(one, layout)}" for one in parts)


def _said(envelope: Envelope, layout: Layout) -> str:
    """The text of one of several tasks, which is never empty."""
    if envelope.error is not None:
        return f"(failed: {one_line(envelope.error.message)})\n"
    return _txt(envelope, layout) or "(nothing)\n"


def _json(envelope: Envelope) -> str:
    return _dumps(envelope.model_dump(), indent=2) + "\n"


def _jsonl(envelope: Envelope) -> str:
    return _dumps(envelope.model_dump(), indent=None) + "\n"


def _dumps(value: Any, *, indent: int | None) -> str:
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    text = _SURROGATES.sub("\ufffd", text)
    return _UNESCAPED.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _txt(envelope: Envelope, layout: Layout) -> str:
    timed = [cue for cue in cues(envelope) if lines(cue.text)]
    if envelope.result is None or is_running_text(envelope.task):
        said = [cue_line(cue, layout) for cue in timed] or lines(envelope.text or "")
        return "".join(line + "\n" for line in said)
    main = main_text(envelope)
    timeline = _timeline(timed)
    blocks = [[main] if main else [], _columns(facts(envelope)), timeline]
    return "\n".join("".join(line + "\n" for line in block) for block in blocks if block)


def _timeline(timed: list[Cue]) -> list[str]:
    """Times in columns of their own, whatever their length, and what they are of."""
    times = [(human(cue.start_ms), human(cue.end_ms)) for cue in timed]
    width = max((len(time) for pair in times for time in pair), default=0)
    return [
        f"{start:>{width}} – {end:>{width}}  {one_line(cue.text)}"
        for (start, end), cue in zip(times, timed, strict=True)
    ]


def _columns(found: list[Fact]) -> list[str]:
    """Named values in two columns; lists below their names."""
    width = max((len(fact.name) for fact in found), default=0)
    rows = []
    for fact in found:
        if fact.is_list:
            rows += [fact.name, *(f"  - {value}" for value in fact.values)]
        else:
            rows.append(f"{fact.name:<{width}}  {fact.values[0]}")
    return rows


def cue_line(cue: Cue, layout: Layout) -> str:
    """A timed item as a line of running text, with its times where the layout has them."""
    speaker = one_line(cue.speaker or "")
    times = f"[{stamp(cue.start_ms)} → {stamp(cue.end_ms)}] " if layout.times else ""
    return times + (f"[{speaker}] " if speaker else "") + one_line(cue.text)


def _srt(envelope: Envelope, layout: Layout) -> str:
    from moss_cli.output.subtitles import to_srt  # pysubs2 and wcwidth take longer to load than all else here

    return to_srt(envelope, layout)


def _vtt(envelope: Envelope, layout: Layout) -> str:
    from moss_cli.output.subtitles import to_vtt

    return to_vtt(envelope, layout)


_LAID_OUT: dict[str, Callable[[Envelope, Layout], str]] = {"txt": _txt, "srt": _srt, "vtt": _vtt}
_WRITERS: dict[str, Callable[[Envelope], str]] = {
    "json": _json,
    "jsonl": _jsonl,
    "tsv": to_tsv,
    "csv": to_csv,
}
