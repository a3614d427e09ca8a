"""`moss transcribe`"""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from moss_cli.cli.help import OUTPUT, TASK
from moss_cli.cli.options import AnalysisOptions, Inputs, option, with_analysis_options

Timestamps = Annotated[
    Literal["segment", "word", "none"],
    option("--timestamps", panel=TASK, help="Timestamps for segments, for words as well, or none."),
]
Speakers = Annotated[bool, option("--speakers", panel=TASK, help="Label who is speaking.")]
Language = Annotated[
    str | None,
    option("--language", panel=TASK, metavar="NAME", help="Language spoken, such as English: a hint to the model."),
]
LineWidth = Annotated[
    int | None,
    option(
        "--max-line-width",
        panel=OUTPUT,
        metavar="N",
        min=1,
        help="Wrap lines of srt and vtt at N columns; wide characters take two.",
    ),
]
LineCount = Annotated[
    int | None,
    option(
        "--max-line-count",
        panel=OUTPUT,
        metavar="N",
        min=1,
        help="At most N lines per cue in srt and vtt; needs --max-line-width.",
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
    """Run the task with its own options."""
    from moss_cli.cli.analyse import analyse
    from moss_cli.errors import UsageError
    from moss_cli.output.layout import Layout
    from moss_cli.tasks.transcribe import Transcribe

    if max_line_count is not None and max_line_width is None:
        raise UsageError("--max-line-count needs --max-line-width", hint="add --max-line-width 42, say")
    task = Transcribe(timestamps, speakers, language or None, options.prompt)
    return analyse(context.obj, task, inputs, options, Layout(max_line_width, max_line_count))
