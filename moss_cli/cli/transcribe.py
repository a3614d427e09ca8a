"""`moss transcribe`"""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from moss_cli.cli.help import OUTPUT, TASK
from moss_cli.cli.option import bounds, option
from moss_cli.cli.options import AnalysisOptions, Inputs
from moss_cli.cli.with_options import with_analysis_options

Timestamps = Annotated[
    Literal["segment", "word", "none"],
    option("--timestamps", panel=TASK, help="Timestamps for segments, for words as well, or none."),
]
Speakers = Annotated[bool, option("--speakers", panel=TASK, help="Label who is speaking.")]
Language = Annotated[
    str | None,
    option("--language", panel=TASK, metavar="NAME", help="Language spoken, such as English: a hint to the model."),
]
Times = Annotated[bool, option("--times", panel=OUTPUT, help="In txt, begin each line with its start and end.")]
LineWidth = Annotated[
    int | None,
    option(
        "--max-line-width",
        panel=OUTPUT,
        metavar="N",
        **bounds("max_line_width"),
        help="Wrap lines of srt and vtt at N columns; wide characters take two.",
    ),
]
LineCount = Annotated[
    int | None,
    option(
        "--max-line-count",
        panel=OUTPUT,
        metavar="N",
        **bounds("max_line_count"),
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
    times: Times = False,
    max_line_width: LineWidth = None,
    max_line_count: LineCount = None,
    *,
    options: AnalysisOptions,
) -> int:
    """Run the task with its own options."""
    from moss_cli.api.job import layout_of, transcribe_task
    from moss_cli.api.options import as_flag
    from moss_cli.cli.analyse import analyse

    layout = layout_of(max_line_width, max_line_count, times=times, timestamps=timestamps, named=as_flag)
    task = transcribe_task(timestamps, speakers, language, options.prompt, named=as_flag)
    return analyse(context.obj, task, inputs, options, layout)
