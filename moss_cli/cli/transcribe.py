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
    speakers: Annotated[
        bool,
        typer.Option(
            "--speakers", envvar="MOSS_SPEAKERS", show_envvar=False, help="Say who speaks.", rich_help_panel="Output"
        ),
    ] = False,
    language: Annotated[
        str | None,
        typer.Option(
            "--language",
            envvar="MOSS_LANGUAGE",
            show_envvar=False,
            metavar="NAME",
            help="The language spoken, such as English: a hint to the model.",
            rich_help_panel="Audio",
        ),
    ] = None,
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

    return analyse(context.obj, Transcribe(timestamps, speakers, language or None, options.prompt), inputs, options)
