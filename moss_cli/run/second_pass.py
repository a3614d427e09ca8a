"""Answers that need all of a recording to be understood: asked, without audio, of what was said of its parts.

What does not fit in one question is asked in groups, and then of the groups' answers, until one is left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from moss_cli.answers import Cost
from moss_cli.run.context import beside
from moss_cli.run.conversation import Asking, Conversation
from moss_cli.run.job import Job
from moss_cli.schema import Notice
from moss_cli.span import Span
from moss_cli.tasks.reading.task import Part, Reading, Task

FEWEST_TOGETHER = 2
NOT_MERGED = Notice(
    code="merged_by_rule",
    message="the model could not combine the answers about the parts; they are listed one after another",
)


@dataclass(frozen=True)
class Whole:
    """The reading of all of a recording, and what asking for it took."""

    reading: Reading[Any]
    cost: Cost = Cost()  # noqa: RUF009 - frozen
    thought: str | None = None


def needs_second_pass(task: Task[Any], parts: Sequence[Part[Any]]) -> bool:
    """Whether what was said of the parts is to be asked about; else rules bring it together."""
    heard = _heard(parts)
    return len(heard) >= FEWEST_TOGETHER and task.over(heard) is not None


def second_pass(
    task: Task[Any],
    parts: Sequence[Part[Any]],
    merged: Reading[Any],
    job: Job,
    fits: Callable[[str], bool],
) -> Conversation[Whole]:
    """What was merged by rule, completed by what the model makes of all parts.

    `fits` says whether an instruction can be asked at once. Whatever goes wrong leaves what the rules give, with a
    notice: the parts are answered, and nothing of them is to be lost.
    """
    spent = Whole(merged)
    left = _heard(parts)
    try:
        while len(left) > 1:
            found: list[Part[Any]] = []
            for group in _groups(task, left, lambda prompt: fits(_all_text(task, job, prompt))):
                if len(group) == 1:  # a last one, left over
                    found += group
                    continue
                part = yield from _ask(task, group, job)
                if part is None:
                    return _merged_by_rule(merged, spent)
                spent = replace(spent, cost=spent.cost + part.cost, thought=part.thought)
                found.append(Part(Span(group[0].span.start_s, group[-1].span.end_s), part.reading))
            left = found
        return replace(spent, reading=task.with_overall(merged, left[0].reading))
    except Exception:  # noqa: BLE001 - said in a notice
        return _merged_by_rule(merged, spent)


def _heard(parts: Sequence[Part[Any]]) -> list[Part[Any]]:
    return [part for part in parts if part.finish_reason != "no_speech"]


def _ask(task: Task[Any], group: Sequence[Part[Any]], job: Job) -> Conversation[Part[Any] | None]:
    """The answer about a group; None for one that is not whole."""
    over = task.over(group)
    if over is None:
        return None
    part = yield from Asking(over, job).without_audio()
    return part if part.complete else None


def _all_text(task: Task[Any], job: Job, prompt: str) -> str:
    """All that the model is given with an instruction."""
    turns = [text for turn in task.turns for text in (turn.question, turn.answer)]
    return "\n".join([*turns, beside(prompt, job.context)])


def _merged_by_rule(merged: Reading[Any], spent: Whole) -> Whole:
    return replace(spent, reading=replace(merged, notices=(*merged.notices, NOT_MERGED)))


def _groups(task: Task[Any], parts: Sequence[Part[Any]], fits: Callable[[str], bool]) -> list[list[Part[Any]]]:
    """Neighbours that fit in one question together; at least two, so that there are fewer each time."""
    groups: list[list[Part[Any]]] = [[]]
    for part in parts:
        over = task.over([*groups[-1], part])
        is_full = over is not None and not fits(over.questions[0].prompt)
        if is_full and len(groups[-1]) >= FEWEST_TOGETHER:
            groups.append([])
        groups[-1].append(part)
    return groups
