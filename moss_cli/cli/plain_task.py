"""The commands of tasks that have no options of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import typer

from moss_cli.cli.options import AnalysisOptions, Inputs
from moss_cli.cli.with_options import with_analysis_options
from moss_cli.tasks.catalogue import TaskEntry

if TYPE_CHECKING:
    from moss_cli.tasks.reading.task import Task


def plain_command(entry: TaskEntry) -> Callable[..., int]:
    """The command of a task whose only setting is `custom_prompt`."""

    @with_analysis_options
    def command(context: typer.Context, inputs: Inputs, *, options: AnalysisOptions) -> int:
        from moss_cli.cli.analyse import analyse

        make: Callable[..., Task[Any]] = entry.load()
        return analyse(context.obj, make(custom_prompt=options.prompt), inputs, options)

    return command
