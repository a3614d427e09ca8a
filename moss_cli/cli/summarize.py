"""`moss summarize`"""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from moss_cli.cli.help import TASK
from moss_cli.cli.option import option
from moss_cli.cli.options import AnalysisOptions, Inputs
from moss_cli.cli.with_options import with_analysis_options


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
    from moss_cli.api.job import summarize_task
    from moss_cli.api.options import as_flag
    from moss_cli.cli.analyse import analyse

    return analyse(context.obj, summarize_task(style, options.prompt, named=as_flag), inputs, options)
