"""The block of YAML at the top of a Markdown document, which note-taking programs read as the note's properties."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from moss_cli.schema import Envelope

# What YAML 1.2 does not take as it is, and the marks that turn the direction of text around.
_UNPRINTABLE = re.compile(
    r"[^\n\x20-\x7e\xa0-\u2027\u202f-\u2065\u206a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)

Value = str | float | bool


def front_matter(envelope: Envelope, title: str) -> str:
    """What was analysed, how, and what became of it; no clock, so that the same result gives the same document."""
    rows = "".join(f"{name}: {_yaml(value)}\n" for name, value in _values(envelope, title))
    return f"---\n{rows}---\n"


def _values(envelope: Envelope, title: str) -> Iterator[tuple[str, Value]]:
    source, params, model = envelope.input, envelope.params, envelope.model
    values: Mapping[str, Value | None] = {
        "title": title,
        "task": envelope.task,
        "status": envelope.status,
        "source": source.path if source else None,
        "duration": source.duration if source else None,
        "start": params.start,
        "end": params.end,
        "language": getattr(envelope.result, "language", None),
        "question": params.question,
        "model": model.name,
        "demo": True if model.demo else None,
        "dtype": model.dtype,
        "device": model.device,
        "moss": envelope.moss,
    }
    yield from ((name, value) for name, value in values.items() if value is not None)


def _yaml(value: Value) -> str:
    """A scalar; a text as JSON writes it, which is a double-quoted one in YAML."""
    if not isinstance(value, str):
        return json.dumps(value)
    text = json.dumps(value.encode(errors="replace").decode(), ensure_ascii=False)
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
