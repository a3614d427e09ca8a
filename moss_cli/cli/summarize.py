"""`moss summarize`"""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from moss_cli.cli.options import DECODING, AnalysisOptions, Inputs, option, with_analysis_options


@with_analysis_options
def summarize(
    context: typer.Context,
    inputs: Inputs,
    style: Annotated[
        Literal["brief", "bullets", "meeting", "chapters"],
        option("--style", panel=DECODING, help="What is asked for."),
    ] = "brief",
    *,
    options: AnalysisOptions,
) -> int:
    """Summarize what is said: key points, chapters.

    Chapters have their times.

    \b
    moss summarize meeting.m4a --style meeting -o minutes.md
    moss summarize lecture.mp3 -f json | jq -r '.result.key_points[]'
    """
    from moss_cli.cli.analyse import analyse
    from moss_cli.tasks.summarize import Summarize

    return analyse(context.obj, Summarize(style, options.prompt), inputs, options)
