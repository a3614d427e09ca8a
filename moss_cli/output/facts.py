"""What a result says apart from its timed items: named values, the same for every format for people."""

from __future__ import annotations

from dataclasses import dataclass

from moss_cli.output.text import one_line
from moss_cli.schema import Envelope, Transcription

# The field that is the answer itself: shown first, and without its name.
_MAIN = {"answer", "summary"}
_HEADINGS = {
    "transcribe": "Transcript",
    "describe-speaker": "Speaker",
    "emotion": "Emotion",
    "scene": "Scene",
    "music": "Music",
    "ask": "Answer",
    "summarize": "Summary",
}
_TIMELINES = {"scene": "Events", "music": "Sections", "ask": "Evidence", "summarize": "Chapters", "emotion": "Course"}


@dataclass(frozen=True)
class Fact:
    """A named value of a result; several values are a list."""

    name: str
    values: tuple[str, ...]
    is_list: bool = False


def heading(task: str) -> str:
    """What a task's result is called."""
    return _HEADINGS[task]


def timeline_heading(task: str) -> str | None:
    """What a task's timed items are called; None where they are the result itself."""
    return _TIMELINES.get(task)


def main_text(envelope: Envelope) -> str | None:
    """The answer itself, in running text, where the result has one."""
    found = (getattr(envelope.result, name, None) for name in sorted(_MAIN))
    return next((one_line(text) for text in found if text), None)


def facts(envelope: Envelope) -> list[Fact]:
    """The named values that the model gave, in the order of the schema; none for a transcript."""
    if envelope.result is None or isinstance(envelope.result, Transcription):
        return []
    found = []
    for name in type(envelope.result).model_fields:
        value = getattr(envelope.result, name)
        if name in _MAIN or not value:
            continue
        if isinstance(value, tuple):
            if all(isinstance(item, str) for item in value):
                found.append(Fact(_shown(name), tuple(map(one_line, value)), is_list=True))
        else:
            found.append(Fact(_shown(name), (f"{value:g}" if isinstance(value, float) else one_line(str(value)),)))
    return found


def _shown(name: str) -> str:
    return {"tempo_bpm": "tempo (BPM)"}.get(name, name.replace("_", " "))
