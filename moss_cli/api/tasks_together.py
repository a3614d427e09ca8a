"""Which tasks are meant where several are done in one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from moss_cli.api.job import ask_task
from moss_cli.api.options import JobOptions, Named, as_keyword
from moss_cli.errors import UsageError
from moss_cli.tasks.catalogue import TASKS, USUAL_TOGETHER, entry
from moss_cli.tasks.reading.task import Task

ALL = "all"


def tasks_together(
    names: Iterable[str] | None, question: str | None, options: JobOptions, *, named: Named = as_keyword
) -> list[Task[Any]]:
    """The tasks of these names, the usual ones without any, in the order of the catalogue; a question adds `ask`.

    Raises UsageError for a name that is none, and for `ask` without a question.
    """
    if options.prompt is not None:
        message = f"analyze takes no {named('prompt')}: an instruction is for one task"
        raise UsageError(message, hint="run that task alone")
    chosen = set(USUAL_TOGETHER) if names is None else set(_names(names, named))
    if ALL in chosen:
        chosen = {name for name in TASKS if name != "ask" or "ask" in chosen}
    if question is not None:
        chosen.add("ask")
    elif "ask" in chosen:
        raise UsageError("the task ask needs a question", hint=f"give it in {named('question')}")
    return [_task(name, question or "", options, named) for name in TASKS if name in chosen]


def _names(names: Iterable[str], named: Named) -> list[str]:
    """Raises UsageError for what are no names of tasks."""
    there_are = f"there are {', '.join(TASKS)}"
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise UsageError(f"{named('tasks')} is no list of names: {names!r}", hint=there_are)
    found = list(names)
    if not found:
        raise UsageError(f"{named('tasks')} is empty", hint=there_are)
    for name in found:
        if name not in (*TASKS, ALL):
            raise UsageError(f"no such task: {name!r}", hint=there_are)
    return found


def _task(name: str, question: str, options: JobOptions, named: Named) -> Task[Any]:
    if name == "ask":
        return ask_task(question, (), options, has_audio=True, named=named)
    make: Callable[[], Task[Any]] = entry(name).load()
    return make()
