"""Answers that need all of a recording to be understood: asked of what was found piece by piece, without audio.

What does not fit in one question is asked of in groups, and then of the groups' answers, until one is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from moss_cli.errors import AnswerError
from moss_cli.run.conversation import Answered, Answerer
from moss_cli.schema import Notice
from moss_cli.span import Span
from moss_cli.tasks.reading.task import Part, Reading, Task

MOST_PART_TOKENS = 12_000  # of what the pieces say, in one question: well inside what the models were trained on
FEWEST_TOGETHER = 2


def overall(
    answerer: Answerer, task: Task, answered: Sequence[Answered], merged: Reading
) -> tuple[Reading, Answered | None]:
    """What was merged by rule, with what the model makes of all pieces; and what asking for that took.

    Nothing is asked where there is one piece, or where the task's rules are enough. An answer that goes wrong leaves
    what the rules give, and a word on it.
    """
    parts = [one.part for one in answered if one.finish_reason != "no_speech"]
    if len(parts) < FEWEST_TOGETHER or task.over(parts) is None:
        return merged, None
    spent: Answered | None = None
    while True:
        groups = _groups(answerer, task, parts)
        last = len(groups) == 1
        found: list[Part] = []
        for group in groups:
            if len(group) == 1:  # a last one, left over
                found += group
                continue
            one = _ask(answerer, task, group)
            if one is None or not one.complete:
                message = "the pieces' answers could not be brought together by the model; they stand one after another"
                notice = Notice(code="merged_by_rule", message=message)
                return replace(merged, notices=(*merged.notices, notice)), spent
            spent = one if spent is None else _sum(spent, one)
            found.append(Part(_span(group), one.reading))
        if last:
            return task.with_overall(merged, found[0].reading), spent
        parts = found


def _ask(answerer: Answerer, task: Task, group: Sequence[Part]) -> Answered | None:
    question = task.over(group)
    if question is None:
        return None
    try:
        return answerer.answer_text(question)
    except AnswerError:
        return None


def _groups(answerer: Answerer, task: Task, parts: Sequence[Part]) -> list[list[Part]]:
    """Neighbours that fit in one question together; at least two, so that there are fewer each time."""
    limit = min(MOST_PART_TOKENS, answerer.engine.model.config.language.max_position_embeddings // 2)
    groups: list[list[Part]] = [[]]
    for part in parts:
        question = task.over([*groups[-1], part])
        n_tokens = 0 if question is None else len(answerer.engine.tokenizer.encode(question.questions[0].prompt))
        if n_tokens > limit and len(groups[-1]) >= FEWEST_TOGETHER:
            groups.append([])
        groups[-1].append(part)
    return groups


def _span(group: Sequence[Part]) -> Span:
    return replace(group[0].span, end_s=group[-1].span.end_s)


def _sum(first: Answered, second: Answered) -> Answered:
    return replace(
        second, n_prompt=first.n_prompt + second.n_prompt, n_generated=first.n_generated + second.n_generated
    )
