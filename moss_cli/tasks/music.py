"""Music: style, tempo, key, instruments, form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from moss_cli.schema import Labelled, Music, TaskName
from moss_cli.span import Span
from moss_cli.tasks.reading.json_answers import NAMES, NUMBER, SAID, TEXT, Field, form, in_json, items, read_json
from moss_cli.tasks.reading.merge_rules import (
    Weighed,
    complete,
    joined_labels,
    middle,
    notices,
    prevailing,
    sentences,
    timeline,
)
from moss_cli.tasks.reading.summary_of_parts import retelling, retold
from moss_cli.tasks.reading.task import Part, Question, Reading, Task

# The maintainers' own words.
PROMPT = (
    "Please describe this piece of music in terms of style and tempo, tonality and harmony, instrumentation, "
    "structural arrangement, and overall mood."
)
PROMPT_PARTS = "Describe the whole piece of music, as it goes from part to part."
FIELDS = (
    Field("style", TEXT),
    Field("tempo_bpm", NUMBER, "beats a minute, as a number"),
    Field("key", TEXT, "such as C major"),
    Field("instruments", NAMES, "a list"),
    Field("mood", TEXT),
    Field("summary", TEXT, "the description in a few sentences"),
    Field("sections", items(label=SAID), "a list of start, end and label, in order"),
)


@dataclass(frozen=True)
class DescribeMusic(Task):
    """`custom_prompt` replaces the instruction and keeps the form of the answer."""

    custom_prompt: str | None = None
    name: TaskName = "music"

    @property
    def questions(self) -> tuple[Question, ...]:
        return (Question(in_json(self.custom_prompt or PROMPT, FIELDS), form(FIELDS)),)

    def read(self, answers: Sequence[str], span: Span) -> Reading:
        found = read_json(answers[0])
        tempo = found.number("tempo_bpm")
        result = Music(
            style=found.text("style"),
            tempo_bpm=tempo if tempo and tempo > 0 else None,
            key=found.text("key"),
            instruments=tuple(dict.fromkeys(found.names("instruments"))),
            mood=found.text("mood"),
            summary=found.text("summary"),
            sections=tuple(
                Labelled(start=start, end=end, label=part.text("label") or "")
                for start, end, part in found.timed("sections", span, "label")
            ),
        )
        return Reading(result, result.summary or "", complete=found.complete)

    def merge(self, parts: Sequence[Part]) -> Reading:
        """One timeline, every instrument that was heard, and of the rest what holds for most of the recording."""
        pieces = [(cast("Music", part.reading.result), part.span.duration_s) for part in parts]
        result = Music(
            style=prevailing(Weighed(piece.style, seconds) for piece, seconds in pieces),
            tempo_bpm=middle((piece.tempo_bpm, seconds) for piece, seconds in pieces),
            key=prevailing(Weighed(piece.key, seconds) for piece, seconds in pieces),
            instruments=tuple(dict.fromkeys(name for piece, _ in pieces for name in piece.instruments)),
            mood=prevailing(Weighed(piece.mood, seconds) for piece, seconds in pieces),
            summary=sentences(piece.summary for piece, _ in pieces),
            sections=timeline(
                parts, lambda part: cast("Music", part.reading.result).sections, lambda part: part.label, joined_labels
            ),
        )
        return Reading(result, result.summary or "", notices(parts), complete(parts))

    def over(self, parts: Sequence[Part]) -> Task | None:
        return retelling(self, PROMPT_PARTS, parts)

    def with_overall(self, merged: Reading, overall: Reading) -> Reading:
        return retold(merged, overall)
