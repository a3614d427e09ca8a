"""Scenes: where a recording was made, and what is heard when."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import pydantic

from moss_cli.answers import Grammar
from moss_cli.schema import Record
from moss_cli.span import Span
from moss_cli.tasks.reading.json_answers import (
    LONGEST_TEXT,
    MOST_ITEMS,
    SAID,
    TEXT,
    Field,
    form,
    in_json,
    items,
    read_json,
    within,
)
from moss_cli.tasks.reading.merge_rules import (
    joined_labels,
    merged,
    prevailing,
    sentences,
    tidied,
    timeline,
    united,
    weighed,
)
from moss_cli.tasks.reading.summary_of_parts import summary_of_parts, with_summary
from moss_cli.tasks.reading.task import Part, Question, Reading, Task
from moss_cli.tasks.reading.timed import Labelled
from moss_cli.tasks.reading.untold import untold_rest

# The model authors' own words, both.
PROMPT_EVENTS = (
    "Analyze the audio and describe the main sound events in chronological order. Output one event per line using this "
    "format:\nstart_sec - end_sec: event description\nUse plain decimal seconds for start_sec and end_sec. Cover the "
    "full timeline from beginning to end when possible."
)
PROMPT_WHOLE = "Describe this audio."
PROMPT_PARTS = "Describe the whole recording: where it is, and what happens in it."
WHOLE_FIELDS = (
    Field("setting", TEXT, "where it is"),
    Field("atmosphere", TEXT),
    Field("summary", TEXT, "what happens, in a sentence"),
)
FIELDS = (*WHOLE_FIELDS, Field("events", items(label=SAID), "a list of start, end and label, in order"))
CHARACTERS_PER_SECOND = 15  # an event of 45 characters every 3 s

# A lexeme a line: the masks of one expression over all lines take longer.
_EVENT = rf"[0-9]{{1,5}}(\.[0-9]{{1,3}})? - [0-9]{{1,5}}(\.[0-9]{{1,3}})?: [^\n]{{1,{LONGEST_TEXT}}}"
EVENTS_FORM = Grammar(f"start: (FIRST NEXT{{0,{MOST_ITEMS - 1}}})?\nFIRST: /{_EVENT}/\nNEXT: /\\n{_EVENT}/")
_LINE = re.compile(
    r"\s*\[?(\d{1,6}(?:\.\d+)?)\s*s?\s*(?:-|–|—|to)\s*(\d{1,6}(?:\.\d+)?)\s*s?\]?\s*[:,]?\s*(.*)", re.ASCII
)


class Scene(Record):
    """Result of `scene`."""

    setting: str | None = pydantic.Field(default=None, description="Where it was recorded.")
    atmosphere: str | None = pydantic.Field(default=None, description="The mood of the place.")
    summary: str | None = pydantic.Field(default=None, description="What is heard, in a few sentences.")
    events: tuple[Labelled, ...] = pydantic.Field(default=(), description="Sounds, in order.")


@dataclass(frozen=True)
class DescribeScene(Task[Scene]):
    """Asks twice: for the events line by line, and for the whole. With `custom_prompt`, once."""

    custom_prompt: str | None = None
    name: str = "scene"
    result_type: ClassVar[type[Scene]] = Scene
    is_divisible: ClassVar[bool] = True

    @property
    def questions(self) -> tuple[Question, ...]:
        if self.custom_prompt is not None:
            prompt = in_json(self.custom_prompt, FIELDS)
            return (Question(prompt, form(FIELDS), n_characters_per_second=CHARACTERS_PER_SECOND),)
        events = Question(PROMPT_EVENTS, EVENTS_FORM, n_characters_per_second=CHARACTERS_PER_SECOND, fills="events")
        return (events, Question(in_json(PROMPT_WHOLE, WHOLE_FIELDS), form(WHOLE_FIELDS)))

    def read(self, answers: Sequence[str], span: Span) -> Reading[Scene]:
        whole = read_json(answers[-1], WHOLE_FIELDS if self.custom_prompt is None else FIELDS)
        if self.custom_prompt is None:
            events = read_events(answers[0], span)
            cut = united([("events",) if _ends_at_limit(answers[0]) else (), whole.cut])
        else:
            found = whole.timed("events", span, "label")
            said = (Labelled(start=s, end=e, label=part.text("label") or "") for s, e, part in found)
            events = tidied(said, lambda event: event.label, joined_labels)
            cut = whole.cut
        result = Scene(
            setting=whole.text("setting"),
            atmosphere=whole.text("atmosphere"),
            summary=whole.text("summary"),
            events=events,
        )
        return Reading(result, result.summary or "", complete=whole.complete, cut=cut)

    def untold(self, reading: Reading[Scene], span: Span, heard: Sequence[Span]) -> tuple[Span, ...]:
        """The rest, where the events end long before the clip; none at all are an answer."""
        events = reading.result.events
        return untold_rest(events, span, heard) if events else ()

    def merge(self, parts: Sequence[Part[Scene]]) -> Reading[Scene]:
        """One timeline; the setting and the atmosphere of most of the recording."""
        result = Scene(
            setting=prevailing(weighed(parts, lambda scene: scene.setting)),
            atmosphere=prevailing(weighed(parts, lambda scene: scene.atmosphere)),
            summary=sentences(part.reading.result.summary for part in parts),
            events=timeline(parts, lambda scene: scene.events, lambda event: event.label, joined_labels),
        )
        return merged(result, result.summary or "", parts)

    def over(self, parts: Sequence[Part[Scene]]) -> Task[Scene] | None:
        return summary_of_parts(self, PROMPT_PARTS, parts, _told)

    def with_overall(self, merged: Reading[Scene], overall: Reading[Scene]) -> Reading[Scene]:
        return with_summary(merged, overall, overall.result.summary)


def _told(scene: Scene) -> tuple[str | None, Iterable[str]]:
    return scene.summary, (event.label for event in scene.events)


def read_events(answer: str, span: Span) -> tuple[Labelled, ...]:
    """`start - end: what` on each line; lines of another form, or of no length, are no events."""
    events = []
    for line in answer.splitlines():
        match = _LINE.fullmatch(line)
        label = " ".join(match[3].split()) if match else ""
        if match and label:
            start, end = within(float(match[1]), float(match[2]), span)
            events.append(Labelled(start=start, end=end, label=label))
    return tidied(events, lambda event: event.label, joined_labels)


def _ends_at_limit(answer: str) -> bool:
    """Whether a list of events has as many, or one as long, as its form allows."""
    lines = answer.split("\n")
    return len(lines) == MOST_ITEMS or any(len(line.partition(": ")[2]) == LONGEST_TEXT for line in lines)
