"""Summaries: what was said, the key points, the chapters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import pydantic

from moss_cli.schema import Record, Seconds
from moss_cli.span import Span
from moss_cli.tasks.reading.json_answers import SAID, TEXT, TEXTS, Field, form, in_json, items, read_json
from moss_cli.tasks.reading.merge_rules import PARTS_OF_ONE, merged, place_of, sentences, tidied, timeline, united
from moss_cli.tasks.reading.task import Part, Question, Reading, Task
from moss_cli.tasks.reading.untold import untold_rest

Style = Literal["brief", "bullets", "meeting", "chapters"]

PROMPTS: dict[Style, str] = {
    "brief": "Summarize the audio in two or three sentences.",
    "bullets": "Summarize the audio as a list of its key points.",
    "meeting": "Write the minutes of this meeting: what was discussed, what was decided, and who does what by when.",
    "chapters": "Divide the audio into chapters, each with a title and a short summary, from beginning to end.",
}
FIELDS = (
    Field("summary", TEXT),
    Field("key_points", TEXTS, "a list of sentences"),
    Field("chapters", items(title=SAID, summary=TEXT), "a list of start, end, title and summary, in order"),
)
OVERALL_FIELDS = FIELDS[:2]
N_CHARACTERS = 8192  # a summary of two pages, and as much of key points
CHARACTERS_PER_SECOND = 15  # a key point of 80 characters every 10 s, and a chapter of 200 every 30 s


class Chapter(Record):
    """A part of a recording."""

    start: Seconds
    end: Seconds
    title: str = pydantic.Field(description="What it is about.")
    summary: str | None = pydantic.Field(default=None, description="What is said in it.")


class Summary(Record):
    """Result of `summarize`."""

    summary: str | None = pydantic.Field(default=None, description="The summary.")
    key_points: tuple[str, ...] = pydantic.Field(default=(), description="What matters most, in order.")
    chapters: tuple[Chapter, ...] = pydantic.Field(default=(), description="What is spoken about when.")


@dataclass(frozen=True)
class Summarize(Task[Summary]):
    """`style` decides what is asked for; every style fills the same form.

    Not divisible: two summaries of halves are not a summary of the whole, which would have to be asked for once more.
    """

    style: Style = "brief"
    custom_prompt: str | None = None
    name: str = "summarize"
    result_type: ClassVar[type[Summary]] = Summary
    needs_speech: ClassVar[bool] = True
    shows: ClassVar[bool] = True

    @property
    def questions(self) -> tuple[Question, ...]:
        prompt = in_json(self.custom_prompt or PROMPTS[self.style], FIELDS)
        return (Question(prompt, form(FIELDS), N_CHARACTERS, CHARACTERS_PER_SECOND),)

    @property
    def params(self) -> dict[str, Any]:
        return {"style": self.style}

    def read(self, answers: Sequence[str], span: Span) -> Reading[Summary]:
        found = read_json(answers[0], FIELDS)
        result = Summary(
            summary=found.text("summary"),
            key_points=found.texts("key_points"),
            chapters=tidied(
                (
                    Chapter(start=start, end=end, title=part.text("title") or "", summary=part.text("summary"))
                    for start, end, part in found.timed("chapters", span, "title")
                ),
                lambda chapter: chapter.title,
                _joined,
            ),
        )
        return Reading(result, result.summary or "", complete=found.complete, cut=found.cut)

    def shown(self, answer: str) -> str | None:
        return read_json(answer, FIELDS).text("summary")

    def untold(self, reading: Reading[Summary], span: Span, heard: Sequence[Span]) -> tuple[Span, ...]:
        """The rest, where the chapters end long before the speech; all of it, where chapters were asked for and there
        are none."""
        chapters = reading.result.chapters
        return untold_rest(chapters, span, heard) if chapters or self.style == "chapters" else ()

    def merge(self, parts: Sequence[Part[Summary]]) -> Reading[Summary]:
        """All chapters, and every key point once."""
        summaries = [part.reading.result for part in parts]
        result = Summary(
            summary=sentences(one.summary for one in summaries),
            key_points=tuple(dict.fromkeys(point for one in summaries for point in one.key_points)),
            chapters=timeline(parts, lambda one: one.chapters, lambda chapter: chapter.title, _joined),
        )
        return merged(result, result.summary or "", parts)

    def over(self, parts: Sequence[Part[Summary]]) -> Task[Summary] | None:
        return SummaryOfSummaries(self, tuple(parts))

    def with_overall(self, merged: Reading[Summary], overall: Reading[Summary]) -> Reading[Summary]:
        """The model's own summary and points of the whole; the chapters are the pieces'."""
        result = overall.result.model_copy(update={"chapters": merged.result.chapters})
        return replace(merged, result=result, text=overall.text, cut=united([merged.cut, overall.cut]))


@dataclass(frozen=True)
class SummaryOfSummaries(Task[Summary]):
    """One summary of the summaries of a recording's parts, without audio."""

    asked: Summarize
    parts: tuple[Part[Summary], ...]
    name: str = "summarize"
    result_type: ClassVar[type[Summary]] = Summary
    shows: ClassVar[bool] = True

    @property
    def questions(self) -> tuple[Question, ...]:
        instruction = self.asked.custom_prompt or PROMPTS[self.asked.style]
        said = "\n\n".join(_told(part) for part in self.parts)
        prompt = f"{PARTS_OF_ONE}\n\n{said}\n\n{in_json(instruction, OVERALL_FIELDS)}"
        return (Question(prompt, form(OVERALL_FIELDS), N_CHARACTERS),)

    def read(self, answers: Sequence[str], span: Span) -> Reading[Summary]:
        return self.asked.read(answers, span)

    def merge(self, parts: Sequence[Part[Summary]]) -> Reading[Summary]:
        return self.asked.merge(parts)

    def shown(self, answer: str) -> str | None:
        return self.asked.shown(answer)


def _told(part: Part[Summary]) -> str:
    """What was said of one part, with its place in the recording."""
    found = part.reading.result
    points = "".join(f"\n- {point}" for point in found.key_points)
    return f"{place_of(part.span)}: {found.summary or ''}{points}"


def _joined(first: Chapter, second: Chapter) -> Chapter:
    summary = sentences([first.summary, second.summary])
    return first.model_copy(update={"end": max(first.end, second.end), "summary": summary})
