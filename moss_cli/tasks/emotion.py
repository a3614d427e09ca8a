"""Emotion: what the voice conveys, and when it changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

from moss_cli.schema import Emotion, EmotionSegment, TaskName
from moss_cli.span import Span
from moss_cli.tasks.reading.json_answers import SAID, TEXT, Field, form, in_json, items, read_json
from moss_cli.tasks.reading.merge_rules import Weighed, complete, notices, prevailing, timeline, without_repeats
from moss_cli.tasks.reading.task import Part, Question, Reading, Task

PROMPT = "What emotion does the speaker convey?"  # the maintainers' own words
FIELDS = (
    Field("overall", TEXT, "the main emotion, in a word or two"),
    Field("evidence", TEXT, "what in the voice or the words shows it"),
    Field("segments", items(emotion=SAID, cue=TEXT), "a list of start, end, emotion and cue, one for each change"),
)


@dataclass(frozen=True)
class DescribeEmotion(Task):
    """`custom_prompt` replaces the instruction and keeps the form of the answer."""

    custom_prompt: str | None = None
    name: TaskName = "emotion"
    needs_speech: ClassVar[bool] = True

    @property
    def questions(self) -> tuple[Question, ...]:
        return (Question(in_json(self.custom_prompt or PROMPT, FIELDS), form(FIELDS)),)

    def read(self, answers: Sequence[str], span: Span) -> Reading:
        found = read_json(answers[0])
        segments = without_repeats(  # one for each change, also where a model tells of each sentence
            (
                EmotionSegment(start=start, end=end, emotion=part.text("emotion") or "", cue=part.text("cue"))
                for start, end, part in found.timed("segments", span, "emotion")
            ),
            lambda segment: segment.emotion,
            _joined,
        )
        result = Emotion(overall=found.text("overall"), evidence=found.text("evidence"), segments=segments)
        return Reading(result, result.overall or "", complete=found.complete)

    def merge(self, parts: Sequence[Part]) -> Reading:
        """One timeline; overall is what most of the recording was said to convey."""
        overall = prevailing(Weighed(_of(part).overall, part.span.duration_s) for part in parts)
        result = Emotion(
            overall=overall,
            evidence=prevailing(
                Weighed(_of(part).evidence, part.span.duration_s) for part in parts if _of(part).overall == overall
            ),
            segments=timeline(parts, lambda part: _of(part).segments, lambda segment: segment.emotion, _joined),
        )
        return Reading(result, result.overall or "", notices(parts), complete(parts))


def _of(part: Part) -> Emotion:
    return cast("Emotion", part.reading.result)


def _joined(first: EmotionSegment, second: EmotionSegment) -> EmotionSegment:
    return first.model_copy(update={"end": max(first.end, second.end), "cue": first.cue or second.cue})
