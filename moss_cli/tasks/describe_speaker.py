"""Describing a speaker: thirteen fields of the voice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from moss_cli.schema import SpeakerDescription, TaskName
from moss_cli.span import Span
from moss_cli.tasks.reading.json_answers import TEXT, Field, form, in_json, read_json
from moss_cli.tasks.reading.merge_rules import Weighed, complete, notices, prevailing
from moss_cli.tasks.reading.task import Part, Question, Reading, Task

# The maintainers' own words; they ask for JSON themselves.
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


@dataclass(frozen=True)
class DescribeSpeaker(Task):
    """`custom_prompt` replaces the instruction and keeps the form of the answer."""

    custom_prompt: str | None = None
    name: TaskName = "describe-speaker"
    needs_speech: ClassVar[bool] = True

    @property
    def questions(self) -> tuple[Question, ...]:
        prompt = PROMPT if self.custom_prompt is None else in_json(self.custom_prompt, FIELDS)
        return (Question(prompt, form(FIELDS)),)

    def read(self, answers: Sequence[str], span: Span) -> Reading:
        found = read_json(answers[0])
        result = SpeakerDescription(**{field.name: found.text(field.name) for field in FIELDS})
        return Reading(result, result.summary or "", complete=found.complete)

    def merge(self, parts: Sequence[Part]) -> Reading:
        """Of each field what was said of most of the recording."""
        fields = {
            field.name: prevailing(
                Weighed(getattr(part.reading.result, field.name), part.span.duration_s) for part in parts
            )
            for field in FIELDS
        }
        result = SpeakerDescription(**fields)
        return Reading(result, result.summary or "", notices(parts), complete(parts))
