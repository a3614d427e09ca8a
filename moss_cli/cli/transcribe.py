"""`moss transcribe`"""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from moss_cli.cli.options import OUTPUT, RANGE, AnalysisOptions, Inputs, option, with_analysis_options

Timestamps = Annotated[
    Literal["segment", "word", "none"],
    option("--timestamps", panel=OUTPUT, help="Times of each sentence, of each word too, or plain text."),
]
Speakers = Annotated[bool, option("--speakers", panel=OUTPUT, help="Say who speaks.")]
Language = Annotated[
    str | None,
    option(
        "--language", panel=RANGE, metavar="NAME", help="The language spoken, such as English: a hint to the model."
    ),
]
LineWidth = Annotated[
    int | None,
    option(
        "--max-line-width",
        panel=OUTPUT,
        metavar="N",
        min=1,
        help="Break lines of srt and vtt at N columns; an ideograph takes two.",
    ),
]
LineCount = Annotated[
    int | None,
    option(
        "--max-line-count",
        panel=OUTPUT,
        metavar="N",
        min=1,
        help="Lines of one cue in srt and vtt; needs --max-line-width.",
    ),
]


@with_analysis_options
def transcribe(
    context: typer.Context,
    inputs: Inputs,
    timestamps: Timestamps = "segment",
    speakers: Speakers = False,
    language: Language = None,
    max_line_width: LineWidth = None,
    max_line_count: LineCount = None,
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
