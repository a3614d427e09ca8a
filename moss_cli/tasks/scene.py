"""Scenes: where it is, and what sounds when."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from moss_cli.answers import Grammar
from moss_cli.schema import Labelled, Scene, TaskName
from moss_cli.span import Span
from moss_cli.tasks.reading.json_answers import SAID, TEXT, Field, Json, form, in_json, items, read_json, within
from moss_cli.tasks.reading.merge_rules import (
    Weighed,
    complete,
    joined_labels,
    notices,
    prevailing,
    sentences,
    timeline,
)
from moss_cli.tasks.reading.summary_of_parts import retelling, retold
from moss_cli.tasks.reading.task import Part, Question, Reading, Task

# The maintainers' own words, both.
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

EVENTS_FORM = Grammar(
    "start: EVENTS?\n"
    r"EVENTS: /[0-9]{1,5}(\.[0-9]{1,3})? - [0-9]{1,5}(\.[0-9]{1,3})?: [^\n]{1,300}"
    r"(\n[0-9]{1,5}(\.[0-9]{1,3})? - [0-9]{1,5}(\.[0-9]{1,3})?: [^\n]{1,300}){0,63}/"
)
_LINE = re.compile(
    r"\s*\[?(\d{1,6}(?:\.\d+)?)\s*s?\s*(?:-|–|—|to)\s*(\d{1,6}(?:\.\d+)?)\s*s?\]?\s*[:,]?\s*(.*)", re.ASCII
)


@dataclass(frozen=True)
class DescribeScene(Task):
    """Asks twice: for the events line by line, and for the whole. With `custom_prompt`, once."""

    custom_prompt: str | None = None
    name: TaskName = "scene"

    @property
    def questions(self) -> tuple[Question, ...]:
        if self.custom_prompt is not None:
            return (Question(in_json(self.custom_prompt, FIELDS), form(FIELDS)),)
        whole = Question(in_json(PROMPT_WHOLE, WHOLE_FIELDS), form(WHOLE_FIELDS))
        return (Question(PROMPT_EVENTS, EVENTS_FORM), whole)

    def read(self, answers: Sequence[str], span: Span) -> Reading:
        whole = read_json(answers[-1])
        if self.custom_prompt is not None:
            found = whole.timed("events", span, "label")
            events = tuple(Labelled(start=s, end=e, label=part.text("label") or "") for s, e, part in found)
        else:
            events = read_events(answers[0], span)
        return Reading(_scene(whole, events), whole.text("summary") or "", complete=whole.complete)

    def merge(self, parts: Sequence[Part]) -> Reading:
        """One timeline; the setting and the atmosphere of most of the recording."""
        scenes = [(cast("Scene", part.reading.result), part.span.duration_s) for part in parts]
        result = Scene(
            setting=prevailing(Weighed(scene.setting, seconds) for scene, seconds in scenes),
            atmosphere=prevailing(Weighed(scene.atmosphere, seconds) for scene, seconds in scenes),
            summary=sentences(scene.summary for scene, _ in scenes),
            events=timeline(
                parts, lambda part: cast("Scene", part.reading.result).events, lambda event: event.label, joined_labels
            ),
        )
        return Reading(result, result.summary or "", notices(parts), complete(parts))

    def over(self, parts: Sequence[Part]) -> Task | None:
        return retelling(self, PROMPT_PARTS, parts)

    def with_overall(self, merged: Reading, overall: Reading) -> Reading:
        return retold(merged, overall)


def _scene(whole: Json, events: tuple[Labelled, ...]) -> Scene:
    return Scene(
        setting=whole.text("setting"), atmosphere=whole.text("atmosphere"), summary=whole.text("summary"), events=events
    )


def read_events(answer: str, span: Span) -> tuple[Labelled, ...]:
    """`start - end: what` on each line; lines of another form are no events."""
    events = []
    for line in answer.splitlines():
        match = _LINE.fullmatch(line)
        label = " ".join(match[3].split()) if match else ""
        if match and label:
            start, end = within(float(match[1]), float(match[2]), span)
            events.append(Labelled(start=start, end=end, label=label))
    return tuple(sorted(events, key=lambda event: (event.start, event.end)))
