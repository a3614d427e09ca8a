"""Describing a speaker: thirteen fields of the voice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import pydantic

from moss_cli.schema import Record
from moss_cli.span import Span
from moss_cli.tasks.reading.json_answers import TEXT, Field, form, in_json, read_json
from moss_cli.tasks.reading.merge_rules import merged, prevailing, weighed
from moss_cli.tasks.reading.task import Part, Question, Reading, Task

# The model authors' own words; they ask for JSON themselves.
PROMPT = (
    "Describe the vocal characteristics in the audio in JSON format. Include the following fields: gender, age, pitch, "
    "speed, volume, clarity, fluency, accent, texture, emotion, tone, personality, and summary. Fill each field with "
    "the corresponding description."
)
FIELDS = tuple(
    Field(name, TEXT)
    for name in (
        *("gender", "age", "pitch", "speed", "volume", "clarity", "fluency", "accent", "texture"),
        *("emotion", "tone", "personality", "summary"),
    )
)


class SpeakerDescription(Record):
    """Result of `describe-speaker`, in the model's words."""

    gender: str | None = pydantic.Field(default=None, description="As it sounds.")
    age: str | None = pydantic.Field(default=None, description="As it sounds.")
    accent: str | None = pydantic.Field(default=None, description="Regional or foreign.")
    pitch: str | None = pydantic.Field(default=None, description="How high the voice is.")
    volume: str | None = pydantic.Field(default=None, description="How loud it is.")
    speed: str | None = pydantic.Field(default=None, description="How fast the speaker talks.")
    texture: str | None = pydantic.Field(default=None, description="Rough, smooth, breathy.")
    clarity: str | None = pydantic.Field(default=None, description="How clear the pronunciation is.")
    fluency: str | None = pydantic.Field(default=None, description="Whether speech flows or halts.")
    emotion: str | None = pydantic.Field(default=None, description="What the voice conveys.")
    tone: str | None = pydantic.Field(default=None, description="Friendly, formal.")
    personality: str | None = pydantic.Field(default=None, description="The impression it makes.")
    summary: str | None = pydantic.Field(default=None, description="All of it in a few sentences.")


@dataclass(frozen=True)
class DescribeSpeaker(Task[SpeakerDescription]):
    """`custom_prompt` replaces the instruction and keeps the form of the answer.

    Not divisible: each field is one value for the whole voice, and half the audio makes none of them shorter.
    """

    custom_prompt: str | None = None
    name: str = "describe-speaker"
    result_type: ClassVar[type[SpeakerDescription]] = SpeakerDescription
    needs_speech: ClassVar[bool] = True

    @property
    def questions(self) -> tuple[Question, ...]:
        prompt = PROMPT if self.custom_prompt is None else in_json(self.custom_prompt, FIELDS)
        return (Question(prompt, form(FIELDS)),)

    def read(self, answers: Sequence[str], span: Span) -> Reading[SpeakerDescription]:
        found = read_json(answers[0], FIELDS)
        result = SpeakerDescription(**{field.name: found.text(field.name) for field in FIELDS})
        return Reading(result, result.summary or "", complete=found.complete, cut=found.cut)

    def merge(self, parts: Sequence[Part[SpeakerDescription]]) -> Reading[SpeakerDescription]:
        """Of each field, what was said of most of the recording."""
        result = SpeakerDescription(**{field.name: _prevailing(parts, field.name) for field in FIELDS})
        return merged(result, result.summary or "", parts)


def _prevailing(parts: Sequence[Part[SpeakerDescription]], name: str) -> str | None:
    return prevailing(weighed(parts, lambda result: getattr(result, name)))
