"""Music: style, tempo, key, instruments, form."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import pydantic
from pydantic import Field as Bounded

from moss_cli.schema import Record
from moss_cli.span import Span
from moss_cli.tasks.reading.json_answers import NUMBER, SAID, TEXT, TEXTS, Field, form, in_json, items, read_json
from moss_cli.tasks.reading.merge_rules import (
    joined_labels,
    merged,
    middle,
    prevailing,
    sentences,
    tidied,
    timeline,
    weighed,
)
from moss_cli.tasks.reading.summary_of_parts import summary_of_parts, with_summary
from moss_cli.tasks.reading.task import Part, Question, Reading, Task
from moss_cli.tasks.reading.timed import Labelled
from moss_cli.tasks.reading.untold import untold_rest

# The model authors' own words.
PROMPT = (
    "Please describe this piece of music in terms of style and tempo, tonality and harmony, instrumentation, "
    "structural arrangement, and overall mood."
)
PROMPT_PARTS = "Describe the whole piece of music, as it goes from part to part."
FIELDS = (
    Field("style", TEXT),
    Field("tempo_bpm", NUMBER, "beats a minute, as a number"),
    Field("key", TEXT, "such as C major"),
    Field("instruments", TEXTS, "a list"),
    Field("mood", TEXT),
    Field("summary", TEXT, "the description in a few sentences"),
    Field("sections", items(label=SAID), "a list of start, end and label, in order"),
)
CHARACTERS_PER_SECOND = 10  # a section of 50 characters every 5 s


class Music(Record):
    """Result of `music`."""

    style: str | None = pydantic.Field(default=None, description="Genre and style.")
    tempo_bpm: Annotated[float, Bounded(gt=0, allow_inf_nan=False)] | None = pydantic.Field(
        default=None, description="Beats per minute."
    )
    key: str | None = pydantic.Field(default=None, description="Such as C major.")
    instruments: tuple[str, ...] = pydantic.Field(default=(), description="What plays, voices included.")
    mood: str | None = pydantic.Field(default=None, description="What it feels like.")
    summary: str | None = pydantic.Field(default=None, description="All of it in a few sentences.")
    sections: tuple[Labelled, ...] = pydantic.Field(default=(), description="Verse, chorus and the like, in order.")


@dataclass(frozen=True)
class DescribeMusic(Task[Music]):
    """`custom_prompt` replaces the instruction and keeps the form of the answer."""

    custom_prompt: str | None = None
    name: str = "music"
    result_type: ClassVar[type[Music]] = Music
    is_divisible: ClassVar[bool] = True

    @property
    def questions(self) -> tuple[Question, ...]:
        prompt = in_json(self.custom_prompt or PROMPT, FIELDS)
        return (Question(prompt, form(FIELDS), n_characters_per_second=CHARACTERS_PER_SECOND),)

    def read(self, answers: Sequence[str], span: Span) -> Reading[Music]:
        found = read_json(answers[0], FIELDS)
        tempo = found.number("tempo_bpm")
        result = Music(
            style=found.text("style"),
            tempo_bpm=tempo if tempo and tempo > 0 else None,
            key=found.text("key"),
            instruments=tuple(dict.fromkeys(found.texts("instruments"))),
            mood=found.text("mood"),
            summary=found.text("summary"),
            sections=tidied(
                (
                    Labelled(start=start, end=end, label=part.text("label") or "")
                    for start, end, part in found.timed("sections", span, "label")
                ),
                lambda section: section.label,
                joined_labels,
            ),
        )
        return Reading(result, result.summary or "", complete=found.complete, cut=found.cut)

    def untold(self, reading: Reading[Music], span: Span, heard: Sequence[Span]) -> tuple[Span, ...]:
        """The rest, where the sections end long before the clip; none at all are an answer."""
        sections = reading.result.sections
        return untold_rest(sections, span, heard) if sections else ()

    def merge(self, parts: Sequence[Part[Music]]) -> Reading[Music]:
        """One timeline, every instrument heard, and of the rest what holds for most of the recording."""
        results = [part.reading.result for part in parts]
        result = Music(
            style=prevailing(weighed(parts, lambda music: music.style)),
            tempo_bpm=middle((part.reading.result.tempo_bpm, part.span.duration_s) for part in parts),
            key=prevailing(weighed(parts, lambda music: music.key)),
            instruments=tuple(dict.fromkeys(name for music in results for name in music.instruments)),
            mood=prevailing(weighed(parts, lambda music: music.mood)),
            summary=sentences(music.summary for music in results),
            sections=timeline(parts, lambda music: music.sections, lambda section: section.label, joined_labels),
        )
        return merged(result, result.summary or "", parts)

    def over(self, parts: Sequence[Part[Music]]) -> Task[Music] | None:
        return summary_of_parts(self, PROMPT_PARTS, parts, _told)

    def with_overall(self, merged: Reading[Music], overall: Reading[Music]) -> Reading[Music]:
        return with_summary(merged, overall, overall.result.summary)


def _told(music: Music) -> tuple[str | None, Iterable[str]]:
    return music.summary, (section.label for section in music.sections)
