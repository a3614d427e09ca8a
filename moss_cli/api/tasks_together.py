"""Which tasks are meant where several are done in one pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from moss_cli.api.job import ask_task
from moss_cli.api.options import JobOptions, Named, as_keyword
from moss_cli.errors import UsageError
from moss_cli.tasks.catalogue import TASKS, USUAL_TOGETHER, entry
from moss_cli.tasks.reading.task import Task

ALL = "all"


def tasks_together(
    names: Sequence[str] | None, question: str | None, options: JobOptions, *, named: Named = as_keyword
) -> list[Task[Any]]:
    """The tasks of these names, the usual ones without any, in the order of the catalogue; a question adds `ask`.

    Raises UsageError for a name that is none, and for `ask` without a question.
    """
    if isinstance(names, str):
        raise UsageError(f"{named('tasks')} is one text: {names!r}", hint="give a list of names")
    for name in names or ():
        if name not in (*TASKS, ALL):
            raise UsageError(f"no such task: {name!r}", hint=f"there are {', '.join(TASKS)}")
    chosen = set(names or USUAL_TOGETHER)
    if ALL in chosen:
        chosen = {name for name in TASKS if name != "ask" or "ask" in chosen}
    if question is not None:
        chosen.add("ask")
    elif "ask" in chosen:
        raise UsageError("the task ask needs a question", hint=f"give it in {named('question')}")
    return [_task(name, question or "", options, named) for name in TASKS if name in chosen]


def _task(name: str, question: str, options: JobOptions, named: Named) -> Task[Any]:
    if name == "ask":
        return ask_task(question, (), options, has_audio=True, named=named)
    make: Callable[[], Task[Any]] = entry(name).load()
    return make()
