"""`moss summarize`"""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from moss_cli.cli.help import TASK
from moss_cli.cli.options import AnalysisOptions, Inputs, option, with_analysis_options


@with_analysis_options
def summarize(
    context: typer.Context,
    inputs: Inputs,
    style: Annotated[
        Literal["brief", "bullets", "meeting", "chapters"],
        option("--style", panel=TASK, help="Kind of summary."),
    ] = "brief",
    *,
    options: AnalysisOptions,
) -> int:
    """Run the task with its own options."""
    from moss_cli.cli.analyse import analyse
    from moss_cli.tasks.summarize import Summarize

    return analyse(context.obj, Summarize(style, options.prompt), inputs, options)
