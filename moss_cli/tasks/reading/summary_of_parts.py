"""One summary of what was heard part by part, asked for without audio; all else of the parts is joined by rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from moss_cli.schema import Record
from moss_cli.span import Span
from moss_cli.tasks.reading.json_answers import TEXT, Field, form, in_json
from moss_cli.tasks.reading.merge_rules import PARTS_OF_ONE, place_of, sentences, united
from moss_cli.tasks.reading.task import Part, Question, Reading, Task

R = TypeVar("R", bound=Record)

FIELDS = (Field("summary", TEXT, "a few sentences on the whole"),)
MOST_LABELS = 40  # named of one part, the others are counted: chosen so that an hour of parts fits into one question


@dataclass(frozen=True)
class SummaryOfParts(Task[R], Generic[R]):
    """`asked` is the task of each part, `notes` what each gave, `instruction` what is asked about all of them."""

    asked: Task[R]
    instruction: str
    notes: tuple[str, ...]
    name: str

    @property
    def questions(self) -> tuple[Question, ...]:
        notes = "\n".join(self.notes)
        prompt = f"{PARTS_OF_ONE}\n\n{notes}\n\n{in_json(self.instruction, FIELDS)}"
        return (Question(prompt, form(FIELDS)),)

    def read(self, answers: Sequence[str], span: Span) -> Reading[R]:
        return self.asked.read(answers, span)

    def merge(self, parts: Sequence[Part[R]]) -> Reading[R]:
        return self.asked.merge(parts)


def summary_of_parts(
    task: Task[R],
    instruction: str,
    parts: Sequence[Part[R]],
    told: Callable[[R], tuple[str | None, Iterable[str]]],
) -> SummaryOfParts[R] | None:
    """What to ask about all parts of a recording; None where none of them has a summary.

    `told` gives the summary of a part's result and the labels of its timeline.
    """
    found = [(part.span, *told(part.reading.result)) for part in parts]
    if not any(summary for _, summary, _ in found):
        return None
    notes = tuple(f"{place_of(span)}: {_note(summary, labels)}" for span, summary, labels in found)
    return SummaryOfParts(task, task.custom_prompt or instruction, notes, task.name)


def with_summary(merged: Reading[R], overall: Reading[R], summary: str | None) -> Reading[R]:
    """What was merged by rule, with the summary of the whole in place of the parts'; where that is None, as it was."""
    if summary is None:
        return merged
    result = merged.result.model_copy(update={"summary": summary})
    return replace(merged, result=result, text=summary, cut=united([merged.cut, overall.cut]))


def _note(summary: str | None, labels: Iterable[str]) -> str:
    unique = list(dict.fromkeys(labels))
    listed = unique[:MOST_LABELS]
    if len(unique) > MOST_LABELS:
        listed.append(f"and {len(unique) - MOST_LABELS} more")
    return sentences([summary, ", ".join(listed)]) or "nothing was made out"
