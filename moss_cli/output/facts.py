"""What a result says apart from its timed items: named values, the same for every format for people."""

from __future__ import annotations

from dataclasses import dataclass

from moss_cli.output.text import one_line
from moss_cli.schema import Envelope
from moss_cli.tasks.catalogue import TaskEntry, entry


@dataclass(frozen=True)
class Fact:
    """A named value of a result; several values are a list."""

    name: str
    values: tuple[str, ...]
    is_list: bool = False


def is_running_text(task: str) -> bool:
    """Whether a task's timed items, one after the other, are all there is to read, as in a transcript."""
    timeline = entry(task).timeline
    return timeline is not None and timeline.heading is None


def main_text(envelope: Envelope) -> str | None:
    """The answer itself, in running text, where the result has one."""
    name = entry(envelope.task).main_field
    text = getattr(envelope.result, name, None) if name else None
    return one_line(text) if text else None


def facts(envelope: Envelope) -> list[Fact]:
    """The named values that the model gave, in the order of the schema."""
    if envelope.result is None:
        return []
    task = entry(envelope.task)
    shown_elsewhere = {task.main_field, task.timeline and task.timeline.field}
    values = {name: getattr(envelope.result, name) for name in type(envelope.result).model_fields}
    return [_fact(task, name, value) for name, value in values.items() if value and name not in shown_elsewhere]


def _fact(task: TaskEntry, field: str, value: object) -> Fact:
    name = task.labels.get(field, field.replace("_", " "))
    if isinstance(value, tuple):
        return Fact(name, tuple(one_line(str(item)) for item in value), is_list=True)
    return Fact(name, (f"{value:g}" if isinstance(value, float) else one_line(str(value)),))
