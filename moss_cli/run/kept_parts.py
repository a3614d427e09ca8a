"""Parts as JSON, kept in a journal until the whole input is done."""

from __future__ import annotations

import math
from typing import Any, get_args

from moss_cli.answers import Cost, FinishReason
from moss_cli.schema import Notice
from moss_cli.span import Span
from moss_cli.tasks.reading.task import Part, Reading, Task

ENDINGS = (*get_args(FinishReason), "no_speech")


def to_json(part: Part[Any]) -> dict[str, Any]:
    """All of a part."""
    reading = part.reading
    return {
        "span": [part.span.start_s, part.span.end_s],
        "result": reading.result.model_dump(mode="json"),
        "text": reading.text,
        "notices": [notice.model_dump(mode="json") for notice in reading.notices],
        "complete": reading.complete,
        "cut": list(reading.cut),
        "finish_reason": part.finish_reason,
        "attempts": part.attempts,
        "thought": part.thought,
        "tokens": [part.cost.prompt, part.cost.generated],
        "untold": [[one.start_s, one.end_s] for one in part.untold],
    }


def from_json(task: Task[Any], kept: dict[str, Any]) -> Part[Any] | None:
    """What `to_json` made of a part; None for anything else: somebody may have changed a journal."""
    try:
        return _from_json(task, kept)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _from_json(task: Task[Any], kept: dict[str, Any]) -> Part[Any] | None:
    start_s, end_s = map(float, kept["span"])
    n_prompt, n_generated = map(int, kept["tokens"])
    thought, ending, attempts = kept["thought"], kept["finish_reason"], int(kept["attempts"])
    untold = tuple(Span(float(first_s), float(last_s)) for first_s, last_s in kept["untold"])
    spans = (Span(start_s, end_s), *untold)
    is_whole = all(map(_is_span, spans)) and attempts >= 1 and min(n_prompt, n_generated) >= 0
    if not (is_whole and isinstance(thought, str | None) and ending in ENDINGS):
        return None
    reading = Reading(
        task.result_type.model_validate(kept["result"]),
        str(kept["text"]),
        tuple(Notice.model_validate(notice) for notice in kept["notices"]),
        bool(kept["complete"]),
        tuple(map(str, kept["cut"])),
    )
    return Part(spans[0], reading, ending, attempts, thought, Cost(n_prompt, n_generated), untold)


def _is_span(span: Span) -> bool:
    return 0 <= span.start_s <= span.end_s < math.inf
