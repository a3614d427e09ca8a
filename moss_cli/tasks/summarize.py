"""Summaries: what was said, the key points, the chapters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, cast

from moss_cli.schema import Chapter, Summary, TaskName
from moss_cli.span import Span
from moss_cli.tasks.reading.json_answers import (
    LONGEST_TEXT,
    NAMES,
    SAID,
    TEXT,
    Field,
    form,
    in_json,
    items,
    read_json,
)
from moss_cli.tasks.reading.merge_rules import PARTS_OF_ONE, complete, notices, place_of, sentences, timeline
from moss_cli.tasks.reading.task import Part, Question, Reading, Task

Style = Literal["brief", "bullets", "meeting", "chapters"]

PROMPTS: dict[Style, str] = {
    "brief": "Summarize the audio in two or three sentences.",
    "bullets": "Summarize the audio as a list of its key points.",
    "meeting": "Write the minutes of this meeting: what was discussed, what was decided, and who does what by when.",
    "chapters": "Divide the audio into chapters, each with a title and a short summary, from beginning to end.",
}
_POINTS = NAMES | {"items": {"type": "string", "maxLength": LONGEST_TEXT}}
FIELDS = (
    Field("summary", TEXT),
    Field("key_points", _POINTS, "a list of sentences"),
    Field("chapters", items(title=SAID, summary=TEXT), "a list of start, end, title and summary, in order"),
)


@dataclass(frozen=True)
class Summarize(Task):
    """`style` decides what is asked for; every style fills the same form."""

    style: Style = "brief"
    custom_prompt: str | None = None
    name: TaskName = "summarize"
    needs_speech: ClassVar[bool] = True
    shows: ClassVar[bool] = True

    @property
    def questions(self) -> tuple[Question, ...]:
        prompt = in_json(self.custom_prompt or PROMPTS[self.style], FIELDS)
        return (Question(prompt, form(FIELDS), n_characters=2048),)

    @property
    def params(self) -> dict[str, Any]:
        return {"style": self.style}

    def read(self, answers: Sequence[str], span: Span) -> Reading:
        found = read_json(answers[0])
        result = Summary(
            summary=found.text("summary"),
            key_points=found.names("key_points"),
            chapters=tuple(
                Chapter(start=start, end=end, title=part.text("title") or "", summary=part.text("summary"))
                for start, end, part in found.timed("chapters", span, "title")
            ),
        )
        return Reading(result, result.summary or "", complete=found.complete)

    def shown(self, answer: str) -> str | None:
        return read_json(answer).text("summary")

    def merge(self, parts: Sequence[Part]) -> Reading:
        """All chapters, and every key point once."""
        summaries = [_of(part) for part in parts]
        result = Summary(
            summary=sentences(one.summary for one in summaries),
            key_points=tuple(dict.fromkeys(point for one in summaries for point in one.key_points)),
            chapters=timeline(parts, lambda part: _of(part).chapters, lambda chapter: chapter.title, _joined),
        )
        return Reading(result, result.summary or "", notices(parts), complete(parts))

    def over(self, parts: Sequence[Part]) -> Task | None:
        return SummarizeParts(self, tuple(parts))

    def with_overall(self, merged: Reading, overall: Reading) -> Reading:
        """The model's own summary and points of the whole; the chapters are the pieces'."""
        whole, pieces = cast("Summary", overall.result), cast("Summary", merged.result)
        result = whole.model_copy(update={"chapters": pieces.chapters})
        return replace(merged, result=result, text=overall.text)


@dataclass(frozen=True)
class SummarizeParts(Task):
    """One summary of the summaries of a recording's parts, without audio."""

    asked: Summarize
    parts: tuple[Part, ...]
    name: TaskName = "summarize"
    shows: ClassVar[bool] = True

    @property
    def questions(self) -> tuple[Question, ...]:
        instruction = self.asked.custom_prompt or PROMPTS[self.asked.style]
        said = "\n\n".join(_told(part) for part in self.parts)
        prompt = f"{PARTS_OF_ONE}\n\n{said}\n\n{in_json(instruction, FIELDS[:2])}"
        return (Question(prompt, form(FIELDS[:2]), n_characters=2048),)

    def read(self, answers: Sequence[str], span: Span) -> Reading:
        return self.asked.read(answers, span)

    def merge(self, parts: Sequence[Part]) -> Reading:
        return self.asked.merge(parts)

    def shown(self, answer: str) -> str | None:
        return self.asked.shown(answer)


def _told(part: Part) -> str:
    """What was said of one part, with its place in the recording."""
    found = _of(part)
    points = "".join(f"\n- {point}" for point in found.key_points)
    return f"{place_of(part.span)}: {found.summary or ''}{points}"


def _of(part: Part) -> Summary:
    return cast("Summary", part.reading.result)


def _joined(first: Chapter, second: Chapter) -> Chapter:
    summary = sentences([first.summary, second.summary])
    return first.model_copy(update={"end": max(first.end, second.end), "summary": summary})
