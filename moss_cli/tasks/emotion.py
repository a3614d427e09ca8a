"""Emotion: what the voice conveys, and when it changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import pydantic

from moss_cli.schema import Record, Seconds
from moss_cli.span import Span
from moss_cli.tasks.reading.json_answers import SAID, TEXT, Field, form, in_json, items, read_json
from moss_cli.tasks.reading.merge_rules import merged, prevailing, same, tidied, timeline, weighed, without_repeats
from moss_cli.tasks.reading.task import Part, Question, Reading, Task
from moss_cli.tasks.reading.untold import untold_rest

PROMPT = "What emotion does the speaker convey?"  # the model authors' own words
FIELDS = (
    Field("overall", TEXT, "the main emotion, in a word or two"),
    Field("evidence", TEXT, "what in the voice or the words shows it"),
    Field("segments", items(emotion=SAID, cue=TEXT), "a list of start, end, emotion and cue, one for each change"),
)
CHARACTERS_PER_SECOND = 15  # a segment of 75 characters every 5 s


class EmotionSegment(Record):
    """A stretch with one emotion, and what shows it."""

    start: Seconds
    end: Seconds
    emotion: str = pydantic.Field(description="What the voice conveys.")
    cue: str | None = pydantic.Field(default=None, description="What in the voice shows it.")


class Emotion(Record):
    """Result of `emotion`."""

    overall: str | None = pydantic.Field(default=None, description="The emotion of the whole.")
    evidence: str | None = pydantic.Field(default=None, description="What shows it.")
    segments: tuple[EmotionSegment, ...] = pydantic.Field(
        default=(), description="Its course: one segment for each change."
    )


@dataclass(frozen=True)
class DescribeEmotion(Task[Emotion]):
    """`custom_prompt` replaces the instruction and keeps the form of the answer."""

    custom_prompt: str | None = None
    name: str = "emotion"
    result_type: ClassVar[type[Emotion]] = Emotion
    needs_speech: ClassVar[bool] = True
    is_divisible: ClassVar[bool] = True

    @property
    def questions(self) -> tuple[Question, ...]:
        prompt = in_json(self.custom_prompt or PROMPT, FIELDS)
        return (Question(prompt, form(FIELDS), n_characters_per_second=CHARACTERS_PER_SECOND),)

    def read(self, answers: Sequence[str], span: Span) -> Reading[Emotion]:
        found = read_json(answers[0], FIELDS)
        said = (
            EmotionSegment(start=start, end=end, emotion=part.text("emotion") or "", cue=part.text("cue"))
            for start, end, part in found.timed("segments", span, "emotion")
        )
        segments = tidied(said, lambda segment: segment.emotion, _joined)
        # One for each change, also where a model describes each sentence.
        segments = without_repeats(segments, lambda segment: segment.emotion, _joined)
        result = Emotion(overall=found.text("overall"), evidence=found.text("evidence"), segments=segments)
        return Reading(result, result.overall or "", complete=found.complete, cut=found.cut)

    def untold(self, reading: Reading[Emotion], span: Span, heard: Sequence[Span]) -> tuple[Span, ...]:
        """The rest, where the segments end long before the clip; none at all are an answer."""
        segments = reading.result.segments
        return untold_rest(segments, span, heard) if segments else ()

    def merge(self, parts: Sequence[Part[Emotion]]) -> Reading[Emotion]:
        """One timeline; overall is what most of the recording conveys, with the evidence of the pieces that say so."""
        overall = prevailing(weighed(parts, lambda result: result.overall))
        agreeing = [part for part in parts if same(part.reading.result.overall, overall)]
        result = Emotion(
            overall=overall,
            evidence=prevailing(weighed(agreeing, lambda result: result.evidence)),
            segments=timeline(parts, lambda result: result.segments, lambda segment: segment.emotion, _joined),
        )
        return merged(result, result.overall or "", parts)


def _joined(first: EmotionSegment, second: EmotionSegment) -> EmotionSegment:
    return first.model_copy(update={"end": max(first.end, second.end), "cue": first.cue or second.cue})
