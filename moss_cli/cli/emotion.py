"""`moss emotion`"""

from __future__ import annotations

import typer

from moss_cli.cli.options import AnalysisOptions, Inputs, with_analysis_options


@with_analysis_options
def emotion(context: typer.Context, inputs: Inputs, *, options: AnalysisOptions) -> int:
    """Tell what emotion a voice conveys, and when it changes.

    Not for decisions about people; see the README.

    \b
    moss emotion voice.wav
    moss emotion voice.wav -o voice.emotion.srt
    """
    from moss_cli.cli.analyse import analyse
    from moss_cli.tasks.emotion import DescribeEmotion

    return analyse(context.obj, DescribeEmotion(options.prompt), inputs, options)
