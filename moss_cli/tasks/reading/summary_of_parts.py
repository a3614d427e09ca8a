"""One summary of what was heard part by part, asked without audio; all else of the parts is joined by rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

from moss_cli.schema import Music, Scene, TaskName
from moss_cli.span import Span
from moss_cli.tasks.reading.json_answers import TEXT, Field, form, in_json
from moss_cli.tasks.reading.merge_rules import PARTS_OF_ONE, place_of, sentences
from moss_cli.tasks.reading.task import Part, Question, Reading, Task

FIELDS = (Field("summary", TEXT, "a few sentences on the whole"),)
MOST_LABELS = 40  # of one part: enough to tell what it was like


@dataclass(frozen=True)
class Retelling(Task):
    """`asked` is what was asked about each part, `instruction` what is asked about all of them."""

    asked: Task
    instruction: str
    notes: tuple[str, ...]
    name: TaskName

    @property
    def questions(self) -> tuple[Question, ...]:
        notes = "\n".join(self.notes)
        prompt = f"{PARTS_OF_ONE}\n\n{notes}\n\n{in_json(self.instruction, FIELDS)}"
        return (Question(prompt, form(FIELDS)),)

    def read(self, answers: Sequence[str], span: Span) -> Reading:
        return self.asked.read(answers, span)

    def merge(self, parts: Sequence[Part]) -> Reading:
        return self.asked.merge(parts)


def retelling(task: Task, instruction: str, parts: Sequence[Part]) -> Retelling | None:
    """What is to be asked about all parts of a scene or a piece of music; None where none of them has a summary."""
    if not any(_result(part).summary for part in parts):
        return None
    notes = tuple(f"{place_of(part.span)}: {_told(_result(part))}" for part in parts)
    return Retelling(task, task.custom_prompt or instruction, notes, task.name)


def retold(merged: Reading, overall: Reading) -> Reading:
    """What the rules give, with the summary of the whole; where that is empty, as it was."""
    summary = cast("Scene | Music", overall.result).summary
    if summary is None:
        return merged
    return replace(merged, result=merged.result.model_copy(update={"summary": summary}), text=summary)


def _result(part: Part) -> Scene | Music:
    return cast("Scene | Music", part.reading.result)


def _told(found: Scene | Music) -> str:
    timed = found.events if isinstance(found, Scene) else found.sections
    labels = list(dict.fromkeys(item.label for item in timed))[:MOST_LABELS]
    return sentences([found.summary, ", ".join(labels)]) or "nothing was made out"
