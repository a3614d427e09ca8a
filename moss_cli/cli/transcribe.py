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
        Literal["segment", "word", "none"],
        typer.Option(
            "--timestamps",
            envvar="MOSS_TIMESTAMPS",
            show_envvar=False,
            help="Times of each sentence, of each word too, or plain text.",
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
    max_line_width: Annotated[
        int | None,
        typer.Option(
            "--max-line-width",
            envvar="MOSS_MAX_LINE_WIDTH",
            show_envvar=False,
            metavar="N",
            min=1,
            help="Break lines of srt and vtt at N columns; an ideograph takes two.",
            rich_help_panel="Output",
        ),
    ] = None,
    max_line_count: Annotated[
        int | None,
        typer.Option(
            "--max-line-count",
            envvar="MOSS_MAX_LINE_COUNT",
            show_envvar=False,
            metavar="N",
            min=1,
            help="Lines of one cue in srt and vtt; needs --max-line-width.",
            rich_help_panel="Output",
        ),
    ] = None,
    *,
    options: AnalysisOptions,
) -> int:
    """Write down what is said, with times.

    \b
    moss transcribe talk.mp3
    moss transcribe talk.mp3 -o talk.srt --max-line-width 42 --max-line-count 2
    moss transcribe recordings/ -o out/ -f srt -f json
    curl -s https://example.org/a.mp3 | moss transcribe - -f json | jq .text
    """
    from moss_cli.cli.analyse import analyse
    from moss_cli.errors import UsageError
    from moss_cli.output.wrap import Layout
    from moss_cli.tasks.transcribe import Transcribe

    if max_line_count is not None and max_line_width is None:
        raise UsageError("--max-line-count needs --max-line-width", hint="add --max-line-width 42, say")
    task = Transcribe(timestamps, speakers, language or None, options.prompt)
    return analyse(context.obj, task, inputs, options, Layout(max_line_width, max_line_count))
