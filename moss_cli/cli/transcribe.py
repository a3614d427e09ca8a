"""`moss transcribe`"""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from moss_cli.cli.options import AnalysisOptions, Inputs, with_analysis_options


@with_analysis_options
def transcribe(
    context: typer.Context,
    inputs: Inputs,
    timestamps: Annotated[
        Literal["segment", "none"],
        typer.Option(
            "--timestamps",
            envvar="MOSS_TIMESTAMPS",
            show_envvar=False,
            help="Times of each sentence, or plain text.",
            rich_help_panel="Output",
        ),
    ] = "segment",
    *,
    options: AnalysisOptions,
) -> int:
    """Write down what is said, with times.

    \b
    moss transcribe talk.mp3
    moss transcribe talk.mp3 -o talk.srt
    moss transcribe recordings/ -o out/ -f srt -f json
    curl -s https://example.org/a.mp3 | moss transcribe - -f json | jq .text
    """
    from moss_cli.cli.analyse import analyse
    from moss_cli.tasks.transcribe import Transcribe

    return analyse(context.obj, Transcribe(timestamps, custom_prompt=options.prompt), inputs, options)
