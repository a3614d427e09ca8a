"""The timed items of a result, the same for every format. Where a task has them stands in the catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from moss_cli.output.text import one_line
from moss_cli.output.times import to_ms
from moss_cli.schema import Envelope, Record
from moss_cli.tasks.catalogue import entry


@dataclass(frozen=True)
class TimedWord:
    """A word of a cue and when it is said."""

    start_ms: int
    end_ms: int
    text: str


@dataclass(frozen=True)
class Cue:
    """One timed item: something to read from `start_ms` to `end_ms`, in milliseconds from the file's start."""

    start_ms: int
    end_ms: int
    text: str
    speaker: str | None = None
    words: tuple[TimedWord, ...] = ()


def cues(envelope: Envelope) -> list[Cue]:
    """The timed items of a result, in its order; none where it has none."""
    return [] if envelope.result is None else cues_of(envelope.task, envelope.result)


def cues_of(task: str, result: Record) -> list[Cue]:
    """The timed items of a task's result, in its order."""
    timeline = entry(task).timeline
    return [] if timeline is None else [_cue(item, timeline.text) for item in getattr(result, timeline.field)]


def _cue(item: Any, attributes: Sequence[str]) -> Cue:
    """An item has a `start` and an `end` in seconds, and may have a `speaker` and `words`."""
    text = ": ".join(filter(None, (getattr(item, name) for name in attributes)))
    words = tuple(
        TimedWord(to_ms(word.start), to_ms(word.end), one_line(word.word))
        for word in getattr(item, "words", None) or ()
    )
    return Cue(to_ms(item.start), to_ms(item.end), text, getattr(item, "speaker", None), words)
